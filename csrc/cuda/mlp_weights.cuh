// Weights from the flat float vector into 16 x 16 blocks in the order of fragments: a warp a block,
// those of the forward first, then those of the backward (mlp_layout.h).
#pragma once

#include "cuda/mlp_fused.cuh"
#include "cuda/mma.cuh"

namespace fields::cuda {

template <class M>
__global__ void pack_kernel(const MlpLayout layout, const float* params, int blocks,
                            uint4* weights) {
  const int block = static_cast<int>(thread_index() / 32);
  if (block >= blocks) return;
  const MlpShape& shape = layout.shape;
  const bool backward = block >= layout.blocks();
  int index = backward ? block - layout.blocks() : block;
  int l = 0;
  while (l < shape.depth && index >= layout.first_block(l + 1)) ++l;
  index -= layout.first_block(l);
  const int columns = backward ? layout.blocks_in(l) : layout.blocks_out(l);
  const int first_k = index / columns * kBlock, first_n = index % columns * kBlock;
  const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
  const float* w = params + shape.weight_offset(l);
  const auto fetch = [&](int k, int n) {
    const int o = backward ? first_k + k : first_n + n, i = backward ? first_n + n : first_k + k;
    return o < out && i < in ? w[o * in + i] : 0.0f;
  };
  M::pack(fetch, weights + block * (32 * M::kVectors));
}

template <class M>
void pack(const Device& device, const MlpLayout& layout, const float* params, bool backward,
          uint4* weights) {
  const int blocks = layout.blocks() * (backward ? 2 : 1);
  launch_each(device, pack_kernel<M>, int64_t(blocks) * 32, 1, layout, params, blocks, weights);
}

template <class M>
constexpr int block_bytes() {
  return 32 * M::kVectors * int(sizeof(uint4));
}

}  // namespace fields::cuda
