// Gaussian kernels with a linear layer over a batch on a GPU: what the ops, alone and behind a hash
// grid, share. x is [samples][inputs], a jacobian [samples][outputs][inputs].
#pragma once

#include "cpu/checked_rbf.h"
#include "cuda/launch.cuh"

namespace fields::cuda {

template <class S>
struct RbfBatch {
  const Device& device;
  RbfShape shape;
  const Tensor& params;
  const S* x;
  int64_t samples;
};

// values [samples][outputs]; the jacobian unless it is null.
template <class S>
void rbf_values(const RbfBatch<S>& batch, S* values, S* jacobian);

// From d loss / d values, and d loss / d jacobian unless it is null. grad_x may be batch.x;
// grad_params is written, in sums of a fixed order.
template <class S>
void rbf_gradients(const RbfBatch<S>& batch, const S* grad, const S* grad_jacobian, S* grad_x,
                   S* grad_params);

}  // namespace fields::cuda
