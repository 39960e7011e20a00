// Ops of hash grid + MLP: values, and the backward that recomputes what it needs.
#include "cpu/grid_mlp.h"

#include <torch/csrc/stable/library.h>

#include "cpu/precision.h"

namespace fields {
namespace {

// Tiles that one task takes: 16 tiles x 32 features are 128 KB, within L2.
constexpr int kRun = 16;

template <class Mlp, class S>
void forward(const GridTable<S>& table, const MlpShape& shape, const S* params, const S* coords,
             int64_t samples, const volatile uint8_t* cancel, S* values) {
  const int64_t tiles = num_tiles(samples);
  const typename Mlp::Packed packed(shape, params, false);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    if (cancel && *cancel) return;
    const int64_t first = task * kRun;
    const int count = static_cast<int>(std::min<int64_t>(kRun, tiles - first));
    Mlp mlp(shape);
    Scratch<S> x(size_t(count) * table.dim * kTile);
    Scratch<S> encoded(size_t(count) * table.outputs() * kTile);
    Scratch<S> y(size_t(shape.outputs) * kTile);
    for (int t = 0; t < count; ++t) {
      load_coords_tile(coords, samples, table.dim, first + t, x.data() + t * table.dim * kTile);
    }
    table.encode(x.data(), count, encoded.data());
    for (int t = 0; t < count; ++t) {
      mlp.forward(packed, encoded.data() + size_t(t) * table.outputs() * kTile, y.data());
      store_tile(y.data(), samples, shape.outputs, first + t, values);
    }
  });
  STD_TORCH_CHECK(!cancel || !*cancel, "cancelled");
}

template <class Mlp, class S>
std::tuple<Tensor, Tensor, Tensor> backward(const GridTable<S>& table, const MlpShape& shape,
                                            const Tensor& grad, const Tensor& coords,
                                            const Tensor& table_tensor, const Tensor& params,
                                            bool need_coords) {
  const int64_t samples = coords.size(0);
  const int F = table.features;
  const Grid& grid = table.grid;
  const S* grad_values = read<S>(grad);
  Tensor grad_coords = empty_of(coords, {need_coords ? samples : 0, coords.size(1)});
  Tensor grad_table = zeros_of(table_tensor, {table_tensor.size(0), table_tensor.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  FieldGradients<Mlp> grads(table, shape, read<S>(params), samples);
  const auto output_gradient = [&](int64_t tile, S* y) {
    load_tile(grad_values, samples, shape.outputs, tile, y);
  };
  Phases phases;
  grads.add_to(phases, read<S>(coords), output_gradient);
  if (need_coords) {
    S* out = write<S>(grad_coords);
    phases.add(grads.tiles, [&, out](int64_t tile, int) {
      alignas(64) S sum[4 * kTile] = {};
      const S* x = grads.x.data() + tile * table.dim * kTile;
      for (int l = 0; l < grid.num_levels; ++l) {
        table.kernels.coords(grid.level[l], grid.smoothstep, table.level_table(l), x,
                             grads.features.at(l, tile), sum);
      }
      store_tile(sum, samples, table.dim, tile, out);
    });
  }
  S* all_rows = write<S>(grad_table);
  S* all_params = write<S>(grad_params);
  phases.add(grid.num_levels + 1, [&](int64_t task, int) {
    if (task == 0) {
      grads.sum_params(all_params);
      return;
    }
    const int l = grid.num_levels - static_cast<int>(task);
    for (int64_t tile = 0; tile < grads.tiles; ++tile) {
      table.kernels.scatter(grid.level[l], grid.smoothstep,
                            grads.x.data() + tile * table.dim * kTile, grads.features.at(l, tile),
                            all_rows + grid.level[l].offset * F, nullptr);
    }
  });
  phases.run();
  return {grad_coords, grad_table, grad_params};
}

Tensor grid_mlp(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, std::optional<Tensor> cancel) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  with_mlp(coords, precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    using S = typename Mlp::S;
    forward<Mlp, S>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)), shape,
                    read<S>(params), read<S>(coords), coords.size(0),
                    cancel ? read<uint8_t>(*cancel) : nullptr, write<S>(values));
  });
  return values;
}

std::tuple<Tensor, Tensor, Tensor> grid_mlp_backward(
    Tensor grad, Tensor coords, Tensor table, Tensor params, int64_t num_levels,
    int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep, int64_t width,
    int64_t depth, int64_t channels, bool bias, int64_t activation, int64_t output_activation,
    int64_t precision, bool need_coords) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  with_mlp(coords, precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    using S = typename Mlp::S;
    result = backward<Mlp, S>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)),
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
