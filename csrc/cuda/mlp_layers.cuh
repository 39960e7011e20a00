// An MLP layer by layer through memory, for what the fused kernels do not serve: float64 (the
// reference instance), hidden layers wider than 128, very deep networks and sines with a frequency.
// Simple, not fast.
#pragma once

#include "cuda/mlp_fused.cuh"

namespace fields::cuda {

// x [samples][inputs] -> values [samples][channels]
template <class S>
void layered_values(const Device& device, const MlpShape& shape, const Tensor& params, const S* x,
                    int64_t samples, S* values);

// Gradients of x and of the parameters, and the loss; null pointers are not written. grad_x may
// be x itself.
template <class S>
void layered_gradients(const Device& device, const MlpShape& shape, const Tensor& params,
                       const S* x, int64_t samples, Loss loss, const S* reference, S* grad_x,
                       S* grad_params, float* loss_value);

}  // namespace fields::cuda
