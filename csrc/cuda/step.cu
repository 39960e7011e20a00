// The fused training step of hash grid + MLP. It queues kernels and returns: the loss stays on the
// device, and nothing waits.
#include <torch/csrc/stable/library.h>

#include "cuda/grid_mlp.cuh"

namespace fields::cuda {
namespace {

Tensor grid_mlp_step(Tensor coords, Tensor targets, Tensor table, Tensor table_m, Tensor table_v,
                     Tensor params, Tensor params_m, Tensor params_v, Tensor workspace,
                     int64_t num_levels, int64_t base_resolution, double growth,
                     int64_t log2_table_size, bool smoothstep, int64_t width, int64_t depth,
                     int64_t channels, bool bias, int64_t activation, int64_t output_activation,
                     int64_t precision, double first_omega, double omega, int64_t loss,
                     int64_t step, double lr_table, double lr_params, double beta1, double beta2,
                     double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(coords.scalar_type() == ScalarType::Float, "the fused step is float32");
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  STD_TORCH_CHECK(
      targets.dim() == 2 && targets.size(0) == coords.size(0) && targets.size(1) == channels,
      "targets must be [samples, channels]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  STD_TORCH_CHECK(loss >= 0 && loss < static_cast<int>(Loss::given), "there is no such loss");
  STD_TORCH_CHECK(workspace.numel() >= table.numel(), "workspace is too small");
  const Device device(coords);
  const MlpCall call(device, shape, precision, params);
  Tensor value = empty_of(coords, {1});
  // The workspace is zero between steps: Adam clears the gradient that it has used.
  float* grad_table = write<float>(workspace);
  const ParamsUpdate<float> update{nullptr, write<float>(params), write<float>(params_m),
                                   write<float>(params_v),
                                   make_adam(step, lr_params, beta1, beta2, eps, weight_decay)};
  grid_mlp_gradients<float>(call, bind<float>(grid, coords, table), static_cast<Loss>(loss),
                            read<float>(targets), grad_table, nullptr, update, write<float>(value));
  adam_range(device, make_adam(step, lr_table, beta1, beta2, eps, 0.0), write<float>(table),
             grad_table, write<float>(table_m), write<float>(table_v), table.numel(), touched_only,
             true);
  return value;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("grid_mlp_step", TORCH_BOX(&fields::cuda::grid_mlp_step));
}
