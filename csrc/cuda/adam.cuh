// Adam on a run of parameters.
#pragma once

#include "cuda/launch.cuh"
#include "maths/adam.h"

namespace fields::cuda {

// With `touched_only`, numbers whose gradient is exactly zero keep their value and their moments.
// With `clear`, the gradient is zero afterwards.
void adam_range(const Device& device, const Adam& adam, float* param, float* grad, float* m,
                float* v, int64_t count, bool touched_only, bool clear);

}  // namespace fields::cuda
