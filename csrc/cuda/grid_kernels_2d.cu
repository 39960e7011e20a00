#include "cuda/grid_kernels_impl.cuh"

namespace fields::cuda {
template GridKernels<float> grid_kernels_of<float, 2>(int);
template GridKernels<double> grid_kernels_of<double, 2>(int);
}  // namespace fields::cuda
