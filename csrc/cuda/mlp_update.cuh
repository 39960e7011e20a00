// What becomes of the gradients of an MLP's parameters.
#pragma once

#include "cuda/adam.cuh"
#include "cuda/mlp_fused.cuh"

namespace fields::cuda {

// Written to `grad` unless that is null, and handed to Adam unless `param` is null.
template <class S>
struct ParamsUpdate {
  S* grad;
  float *param, *m, *v;
  Adam adam;
};

// Adds up the partial sums of a backward, always in the same order, and updates. `loss` receives
// the sum of the partial losses times task.loss_weight; it may be null.
void reduce_gradients(const Device& device, const BackwardTask& task, int blocks,
                      const ParamsUpdate<float>& update, float* loss);

// *largest = the largest |x|, infinity or NaN where there is one. *largest must be zero before.
void find_largest(const Device& device, const float* x, int64_t count, float* largest);

}  // namespace fields::cuda
