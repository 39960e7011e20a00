// The Gaussian kernels as tensors describe them: shape and dtype, shared with CUDA.
#pragma once

#include "cpu/tensors.h"
#include "maths/rbf.h"

namespace fields {

inline RbfShape checked_rbf(int64_t inputs, const Tensor& params, int64_t kernels, int64_t channels,
                            bool affine, double factor, int64_t output_activation) {
  const RbfShape shape{static_cast<int>(inputs),
                       static_cast<int>(kernels),
                       static_cast<int>(channels),
                       affine,
                       factor,
                       static_cast<Activation>(output_activation)};
  STD_TORCH_CHECK(params.numel() == shape.size(), "params must have ", shape.size(),
                  " numbers, has ", params.numel());
  return shape;
}

}  // namespace fields
