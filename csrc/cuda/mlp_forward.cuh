// The fused forward: inputs are loaded, or encoded, straight into shared memory; nothing but values
// is written. A warp takes 32 samples at a time and works alone; weights stay in shared memory.
#pragma once

#include "cuda/grid_row.cuh"
#include "cuda/mlp_device.cuh"
#include "cuda/mlp_fused.cuh"

namespace fields::cuda {

// Inputs from memory.
struct FromColumns {
  Columns<const float> x;

  template <class M>
  __device__ __forceinline__ void load(int64_t first, typename M::Element* rows, int stride) const {
    load_rows<M, kForwardRows>(x, first, rows, stride);
  }
};

// Inputs encoded on the way: a lane is a sample.
template <int D, int F>
struct FromGrid {
  GridTable<float> table;
  const float* coords;
  int64_t samples;

  template <class M>
  __device__ __forceinline__ void load(int64_t first, typename M::Element* rows, int stride) const {
    const int64_t n = first + lane_index();
    float x[D];
    load_coords(coords, n < samples ? n : samples - 1, x);
    typename M::Element* row = rows + lane_index() * stride;
#pragma unroll 4
    for (int l = 0; l < table.grid.num_levels; ++l) {
      const GridLevel& level = table.grid.level[l];
      const auto features =
          interpolate<F>(level, table.grid.smoothstep, table.table + level.offset * F, x);
#pragma unroll
      for (int f = 0; f < F; f += 2) {
        M::store_pair(row + l * F + f, features.value[f], features.value[f + 1]);
      }
    }
  }
};

template <class M, int N, class Source>
__global__ void __launch_bounds__(32 * kForwardWarps)
    forward_kernel(const ForwardTask task, const bool shared_weights, const Source source) {
  using E = typename M::Element;
  extern __shared__ uint4 shared[];
  const MlpLayout& layout = task.layout;
  const MlpShape& shape = layout.shape;
  const int warp = threadIdx.x / 32;
  const int x_stride = layout.input_blocks * kBlock + kPadding;
  constexpr int kStride = N * kBlock + kPadding;
  const int row_words = (kForwardRows * x_stride + kBlock * kStride) * sizeof(E) / sizeof(uint4);

  // Columns behind the last input stay zero throughout.
  clear_words(shared, kForwardWarps * row_words);
  const uint4* weights = task.weights;
  if (shared_weights) {
    uint4* copy = shared + kForwardWarps * row_words;
    copy_words(weights, layout.blocks() * 32 * M::kVectors, copy);
    weights = copy;
  }
  __syncthreads();
  E* x = reinterpret_cast<E*>(shared + warp * row_words);
  E* hidden = x + kForwardRows * x_stride;
  const float* output_bias = shape.bias ? task.params + shape.bias_offset(shape.depth) : nullptr;
  const uint4* output_weights = weights + layout.first_block(shape.depth) * (32 * M::kVectors);

  const int64_t step = int64_t(gridDim.x) * kForwardWarps * kForwardRows;
  for (int64_t first = (int64_t(blockIdx.x) * kForwardWarps + warp) * kForwardRows;
       first < task.samples; first += step) {
    source.template load<M>(first, x, x_stride);
    __syncwarp();
    for (int half = 0; half < kForwardRows; half += kBlock) {
      const E* in = x + half * x_stride;
      int stride = x_stride;
      for (int l = 0; l < shape.depth; ++l) {
        hidden_layer<M, N>(layout, task.params, weights, l, in, stride, hidden, kStride,
                           static_cast<E*>(nullptr));
        in = hidden;
        stride = kStride;
      }
      for (int o = 0; o < layout.output_blocks; ++o) {
        float c[1][2][4];
        start(output_bias ? output_bias + o * kBlock : nullptr, shape.outputs - o * kBlock, c);
        multiply<M, 1>(in, stride, layout.blocks_in(shape.depth),
                       output_weights + o * (32 * M::kVectors), layout.output_blocks, c);
        for_pairs(c, [&](int row, int column, float x0, float x1) {
          const int64_t n = first + half + row;
          column += o * kBlock;
          if (n >= task.samples) return;
          float* at = task.values + n * shape.outputs + column;
          const bool linear = shape.output == Activation::none;
          if (column < shape.outputs) at[0] = linear ? x0 : activate_any(shape.output, x0).x;
          if (column + 1 < shape.outputs) at[1] = linear ? x1 : activate_any(shape.output, x1).x;
        });
      }
      __syncwarp();
    }
  }
}

template <class M, class Source>
void launch_forward(const Device& device, const ForwardTask& task, const ForwardPlan& plan,
                    const Source& source) {
  const auto run = [&](auto kernel) {
    launch(device, kernel, plan.blocks, 32 * kForwardWarps, plan.bytes, task, plan.shared_weights,
           source);
  };
  switch (task.layout.hidden_blocks) {
    case 2:
      return run(forward_kernel<M, 2, Source>);
    case 4:
      return run(forward_kernel<M, 4, Source>);
    default:
      return run(forward_kernel<M, 8, Source>);
  }
}

template <class M>
void forward(const Device& device, const ForwardTask& task, const ForwardPlan& plan,
             Columns<const float> x) {
  launch_forward<M>(device, task, plan, FromColumns{x});
}

template <class M, int D, int F>
void forward_from_grid(const Device& device, const ForwardTask& task, const ForwardPlan& plan,
                       const GridTable<float>& table, const float* coords) {
  launch_forward<M>(device, task, plan, FromGrid<D, F>{table, coords, task.samples});
}

using GridForward = void (*)(const Device&, const ForwardTask&, const ForwardPlan&,
                             const GridTable<float>&, const float* coords);

// Pictures and volumes, as they are used: the other pairs encode first.
template <class M>
GridForward grid_forward(int64_t dim, int64_t features) {
  if (dim == 2 && features == 2) return forward_from_grid<M, 2, 2>;
  if (dim == 2 && features == 4) return forward_from_grid<M, 2, 4>;
  if (dim == 3 && features == 2) return forward_from_grid<M, 3, 2>;
  if (dim == 3 && features == 4) return forward_from_grid<M, 3, 4>;
  return nullptr;
}

}  // namespace fields::cuda
