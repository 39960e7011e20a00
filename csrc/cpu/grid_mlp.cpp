// Ops of hash grid + MLP: values, and the backward that recomputes what it needs.
#include "cpu/grid_field.h"

#include <torch/csrc/stable/library.h>

#include "cpu/precision.h"

namespace fields {
namespace {

Tensor grid_mlp(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                std::optional<Tensor> cancel) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  with_mlp(coords, precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    using S = typename Mlp::S;
    field_values<Mlp>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)), shape,
                      read<S>(params), read<S>(coords), coords.size(0),
                      cancel ? read<uint8_t>(*cancel) : nullptr, write<S>(values));
  });
  return values;
}

std::tuple<Tensor, Tensor, Tensor> grid_mlp_backward(
    Tensor grad, Tensor coords, Tensor table, Tensor params, int64_t num_levels,
    int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep, int64_t width,
    int64_t depth, int64_t channels, bool bias, int64_t activation, int64_t output_activation,
    int64_t precision, double first_omega, double omega, bool need_coords) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  with_mlp(coords, precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    using S = typename Mlp::S;
    result = field_gradients<Mlp>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)),
                                  shape, grad, coords, table, params, need_coords);
  });
  return *result;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("grid_mlp", TORCH_BOX(&fields::grid_mlp));
  m.impl("grid_mlp_backward", TORCH_BOX(&fields::grid_mlp_backward));
}
