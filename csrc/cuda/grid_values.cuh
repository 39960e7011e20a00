// Values of the fields on grids, as their ops compute them: what other ops ask them for.
#pragma once

#include "cuda/launch.cuh"

namespace fields::cuda {

Tensor grid_mlp(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                std::optional<Tensor> cancel);

Tensor grid_rbf(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t kernels, int64_t channels, bool affine, double factor,
                int64_t output_activation, std::optional<Tensor> cancel);

}  // namespace fields::cuda
