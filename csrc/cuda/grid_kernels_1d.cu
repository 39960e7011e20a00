#include "cuda/grid_kernels_impl.cuh"

namespace fields::cuda {
template GridKernels<float> grid_kernels_of<float, 1>(int);
template GridKernels<double> grid_kernels_of<double, 1>(int);
}  // namespace fields::cuda
