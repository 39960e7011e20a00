// Ops of hash grid + Gaussian kernels: values, their backward, and the fused training step.
#include <torch/csrc/stable/library.h>

#include "cpu/checked_rbf.h"
#include "cpu/grid_field.h"
#include "cpu/tile_rbf.h"
#include "cpu/train_step.h"

namespace fields {
namespace {

template <class S>
GridTable<S> bind(const Grid& grid, const Tensor& coords, const Tensor& table) {
  return GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table));
}

Tensor grid_rbf(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t kernels, int64_t channels, bool affine, double factor,
                int64_t output_activation, std::optional<Tensor> cancel) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  const auto run = [&](auto zero) {
    using Rbf = TileRbf<LanesOf<decltype(zero)>>;
    using S = typename Rbf::S;
    field_values<Rbf>(bind<S>(grid, coords, table), shape, read<S>(params), read<S>(coords),
                      coords.size(0), cancel ? read<uint8_t>(*cancel) : nullptr, write<S>(values));
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return values;
}

std::tuple<Tensor, Tensor, Tensor> grid_rbf_backward(Tensor grad, Tensor coords, Tensor table,
                                                     Tensor params, int64_t num_levels,
                                                     int64_t base_resolution, double growth,
                                                     int64_t log2_table_size, bool smoothstep,
                                                     int64_t kernels, int64_t channels, bool affine,
                                                     double factor, int64_t output_activation,
                                                     bool need_coords) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  const auto run = [&](auto zero) {
    using Rbf = TileRbf<LanesOf<decltype(zero)>>;
    using S = typename Rbf::S;
    result = field_gradients<Rbf>(bind<S>(grid, coords, table), shape, grad, coords, table, params,
                                  need_coords);
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return *result;
}

Tensor grid_rbf_step(Tensor coords, Tensor targets, Tensor table, Tensor table_m, Tensor table_v,
                     Tensor params, Tensor params_m, Tensor params_v, Tensor workspace,
                     int64_t num_levels, int64_t base_resolution, double growth,
                     int64_t log2_table_size, bool smoothstep, int64_t kernels, int64_t channels,
                     bool affine, double factor, int64_t output_activation, int64_t loss,
                     int64_t step, double lr_table, double lr_params, double beta1, double beta2,
                     double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(coords.scalar_type() == ScalarType::Float, "the fused step is float32");
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  STD_TORCH_CHECK(targets.size(0) == coords.size(0) && targets.size(1) == channels,
                  "targets must be [samples, channels]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  STD_TORCH_CHECK(step >= 1 && workspace.dim() == 2, "step counts from 1; workspace is a matrix");
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0.0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
                            touched_only};
  const State state{write<float>(table),  write<float>(table_m),  write<float>(table_v),
                    write<float>(params), write<float>(params_m), write<float>(params_v)};
  Tensor out = empty_of(coords, {1});
  *write<float>(out) = static_cast<float>(train_step<TileRbf<Pack>>(
      grid, coords.size(1), table.size(1), shape, read<float>(coords), read<float>(targets),
      coords.size(0), static_cast<Loss>(loss), optimiser, state, write<float>(workspace),
      workspace.size(0), workspace.size(1)));
  return out;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("grid_rbf", TORCH_BOX(&fields::grid_rbf));
  m.impl("grid_rbf_backward", TORCH_BOX(&fields::grid_rbf_backward));
  m.impl("grid_rbf_step", TORCH_BOX(&fields::grid_rbf_step));
}
