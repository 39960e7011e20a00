// The fused MLP as its callers see it: what a launch is given, whether it fits, and one table of
// launchers for each arithmetic.
#pragma once

#include <algorithm>

#include "cuda/grid_kernels.cuh"
#include "cuda/mlp_layout.h"
#include "maths/loss.h"

namespace fields::cuda {

struct ForwardTask {
  MlpLayout layout;
  const float* params;   // flat, for the biases
  const uint4* weights;  // packed, layout.blocks() blocks for the forward
  float* values;         // [samples][channels]
  int64_t samples;
};

// fp16 gradients are scaled by a power of two, so that small ones do not vanish: chosen on the host
// for a loss, on the device from the largest number of a given gradient (`largest`, else null).
struct GradientScale {
  float constant;
  const float* largest;

  __device__ float value() const {
    if (!largest) return constant;
    const float x = *largest;
    if (!(x > 0.0f) || !is_finite(x)) return 1.0f;
    return exp2f(static_cast<float>(6 - ::ilogbf(x) < 100 ? 6 - ::ilogbf(x) : 100));
  }
};

struct BackwardTask {
  MlpLayout layout;
  const float* params;
  const uint4* weights;  // packed, blocks for the forward, then for the backward
  Columns<const float> x;
  Loss loss;
  const float* reference;  // [samples][channels]: targets, or with Loss::given the gradient
  float loss_weight;       // 1 / (samples * channels)
  GradientScale scale;
  Columns<float> grad_x;  // may be x itself; not written where data is null
  float* partial;         // [blocks of the launch][gradient_floats], scaled
  float* partial_loss;    // [blocks of the launch]
};

// How a backward is launched. Activations of 16 rows a warp must fit in shared memory; sums of
// gradients and weights lie there where there is room, else in L2 and L1.
struct BackwardPlan {
  int warps = 0;  // 0: does not fit
  bool shared_sums = false, shared_weights = false;
  size_t bytes = 0;
  int blocks = 0;
};

struct ForwardPlan {
  bool shared_weights;
  size_t bytes;
  int blocks;
};

// The arithmetic's launchers.
struct FusedMlp {
  int element_bytes;  // of an activation
  int block_bytes;    // of a packed 16 x 16 block
  bool scaled;        // whether gradients need a scale
  void (*pack)(const Device&, const MlpLayout&, const float* params, bool backward, uint4* weights);
  void (*forward)(const Device&, const ForwardTask&, const ForwardPlan&, Columns<const float> x);
  // Null for a pair that is not built: encode first, then forward.
  void (*(*grid_forward)(int64_t dim,
                         int64_t features))(const Device&, const ForwardTask&, const ForwardPlan&,
                                            const GridTable<float>&, const float* coords);
  void (*backward)(const Device&, const BackwardTask&, const BackwardPlan&);
};

extern const FusedMlp fused_float32, fused_bf16, fused_fp16;

inline const FusedMlp& fused_mlp(int64_t precision) {
  return precision == 0 ? fused_float32 : precision == 1 ? fused_bf16 : fused_fp16;
}

constexpr int kForwardWarps = 4;
constexpr int kForwardRows = 32;  // of a warp

inline size_t forward_row_bytes(const FusedMlp& mlp, const MlpLayout& layout) {
  const int x = layout.input_blocks * kBlock + 8, hidden = layout.hidden_blocks * kBlock + 8;
  return size_t(kForwardRows * x + kBlock * hidden) * mlp.element_bytes;
}

inline ForwardPlan plan_forward(const Device& device, const FusedMlp& mlp, const MlpLayout& layout,
                                int64_t samples) {
  const size_t rows = kForwardWarps * forward_row_bytes(mlp, layout);
  const size_t weights = size_t(layout.blocks()) * mlp.block_bytes;
  ForwardPlan plan;
  // At least two blocks side by side: the gathers of one hide behind the products of the other.
  plan.shared_weights = rows + weights <= size_t(device.multiprocessor_memory()) / 2 - 1024;
  plan.bytes = rows + (plan.shared_weights ? weights : 0);
  const int side_by_side =
      std::clamp<int>(device.multiprocessor_memory() / int(plan.bytes + 1024), 1, 16);
  plan.blocks =
      static_cast<int>(std::min<int64_t>(ceil_div(samples, kForwardWarps * kForwardRows),
                                         int64_t(device.multiprocessors()) * side_by_side));
  return plan;
}

inline int backward_row_elements(const MlpLayout& layout) {
  const Activation hidden = layout.shape.hidden;
  const bool slopes = hidden != Activation::relu && hidden != Activation::none;
  return layout.input_blocks * kBlock + 8 + layout.output_blocks * kBlock + 8 +
         layout.shape.depth * (slopes ? 2 : 1) * (layout.hidden_blocks * kBlock + 8);
}

inline BackwardPlan plan_backward(const Device& device, const FusedMlp& mlp,
                                  const MlpLayout& layout, int64_t samples) {
  const size_t row = size_t(backward_row_elements(layout)) * mlp.element_bytes;
  const size_t sums = size_t(layout.gradient_floats()) * sizeof(float);
  const size_t weights = 2 * size_t(layout.blocks()) * mlp.block_bytes;
  const size_t room = device.block_memory();
  BackwardPlan plan;
  const auto fits = [&](int warps, bool shared_sums, bool shared_weights) {
    if (plan.warps) return;
    const size_t bytes = warps * kBlock * row + (shared_sums ? sums : 0) +
                         (shared_weights ? weights : 0) + 16 * sizeof(float);
    if (bytes <= room) plan = {warps, shared_sums, shared_weights, bytes, 0};
  };
  for (const int shared : {2, 1, 0}) {
    for (const int warps : {8, 4, 2}) fits(warps, shared >= 1, shared == 2);
  }
  if (!plan.warps) return plan;
  const int side_by_side =
      std::clamp<int>(device.multiprocessor_memory() / int(plan.bytes + 1024), 1, 2);
  plan.blocks = static_cast<int>(std::min<int64_t>(
      ceil_div(samples, plan.warps * kBlock), int64_t(device.multiprocessors()) * side_by_side));
  return plan;
}

// The fused kernels know no frequencies, and no FINER, which needs one.
inline bool plain(const MlpShape& shape) {
  return shape.first_omega == 1 && shape.omega == 1 && shape.hidden != Activation::finer;
}

// Whether the fused kernels serve the shape; otherwise mlp_layers.cuh does.
inline bool fuses_forward(const Device& device, const FusedMlp& mlp, const MlpShape& shape) {
  return plain(shape) && shape.width <= kMaxWidth &&
         kForwardWarps * forward_row_bytes(mlp, make_layout(shape)) <=
             size_t(device.block_memory());
}
inline bool fuses_backward(const Device& device, const FusedMlp& mlp, const MlpShape& shape) {
  return plain(shape) && shape.width <= kMaxWidth &&
         plan_backward(device, mlp, make_layout(shape), 1).warps > 0;
}

}  // namespace fields::cuda
