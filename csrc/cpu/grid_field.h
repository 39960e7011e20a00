// Values and gradients of a hash grid with a decoder behind it, over a batch: what the ops of every
// decoder share.
#pragma once

#include "cpu/grid_mlp.h"
#include "cpu/tensors.h"

namespace fields {

// Tiles that one task takes: 16 tiles x 32 features are 128 KB, within L2.
constexpr int kFieldRun = 16;

// coords [samples][dim] -> values [samples][outputs]. Stops between two runs once `cancel` is set.
template <class Decoder, class S>
void field_values(const GridTable<S>& table, const typename Decoder::Shape& shape, const S* params,
                  const S* coords, int64_t samples, const volatile uint8_t* cancel, S* values) {
  const int64_t tiles = num_tiles(samples);
  const typename Decoder::Packed packed(shape, params, false);
  parallel_tasks((tiles + kFieldRun - 1) / kFieldRun, [&](int64_t task, int) {
    if (cancel && *cancel) return;
    const int64_t first = task * kFieldRun;
    const int count = static_cast<int>(std::min<int64_t>(kFieldRun, tiles - first));
    Decoder decoder(shape);
    Scratch<S> x(size_t(count) * table.dim * kTile);
    Scratch<S> encoded(size_t(count) * table.outputs() * kTile);
    Scratch<S> y(size_t(shape.outputs) * kTile);
    for (int t = 0; t < count; ++t) {
      load_coords_tile(coords, samples, table.dim, first + t, x.data() + t * table.dim * kTile);
    }
    table.encode(x.data(), count, encoded.data());
    for (int t = 0; t < count; ++t) {
      decoder.forward(packed, encoded.data() + size_t(t) * table.outputs() * kTile, y.data());
      store_tile(y.data(), samples, shape.outputs, first + t, values);
    }
  });
  STD_TORCH_CHECK(!cancel || !*cancel, "cancelled");
}

// Gradients of coords (none unless asked for), table and params.
template <class Decoder, class S>
std::tuple<Tensor, Tensor, Tensor> field_gradients(const GridTable<S>& table,
                                                   const typename Decoder::Shape& shape,
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
  FieldGradients<Decoder> grads(table, shape, read<S>(params), samples);
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

}  // namespace fields
