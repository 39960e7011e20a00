// Ops of the hash grid alone: features, their jacobian, and the backward of each.
#include <torch/csrc/stable/library.h>

#include "cpu/parallel.h"
#include "cpu/tensors.h"
#include "cpu/tile_grid.h"

namespace fields {

template <class S>
GridKernels<S> grid_kernels(int dim, int features) {
  switch (dim) {
    case 1:
      return grid_kernels_of<S, 1>(features);
    case 2:
      return grid_kernels_of<S, 2>(features);
    case 3:
      return grid_kernels_of<S, 3>(features);
    case 4:
      return grid_kernels_of<S, 4>(features);
    default:
      throw std::runtime_error("hash grids have 1 to 4 dimensions");
  }
}
template GridKernels<float> grid_kernels<float>(int, int);
template GridKernels<double> grid_kernels<double>(int, int);

namespace {

// Tiles that one task takes: enough that a level's rows are reused, few enough to stay in L2.
constexpr int kRun = 16;
// Samples between the two passes of a backward: bounds its memory.
constexpr int64_t kBackwardBatch = int64_t(1) << 16;

template <class S>
void forward(const GridTable<S>& table, const Tensor& coords, const Tensor& features,
             const Tensor* jacobian) {
  const int64_t samples = coords.size(0);
  const int64_t tiles = num_tiles(samples);
  const int dim = table.dim, outputs = table.outputs(), F = table.features;
  const S* x = read<S>(coords);
  S* out = write<S>(features);
  S* out_jacobian = jacobian ? write<S>(*jacobian) : nullptr;
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    const int64_t first = task * kRun;
    const int count = static_cast<int>(std::min<int64_t>(kRun, tiles - first));
    Scratch<S> tile_x(size_t(count) * dim * kTile), encoded(size_t(count) * outputs * kTile);
    for (int t = 0; t < count; ++t) {
      load_coords_tile(x, samples, dim, first + t, tile_x.data() + t * dim * kTile);
    }
    if (!out_jacobian) {
      table.encode(tile_x.data(), count, encoded.data());
    } else {
      Scratch<S> slopes(size_t(outputs) * dim * kTile);
      for (int t = 0; t < count; ++t) {
        for (int l = 0; l < table.grid.num_levels; ++l) {
          table.kernels.encode_with_grad(table.grid.level[l], table.grid.smoothstep,
                                         table.level_table(l), tile_x.data() + t * dim * kTile,
                                         encoded.data() + (size_t(t) * outputs + l * F) * kTile,
                                         slopes.data() + size_t(l) * F * dim * kTile);
        }
        store_tile(slopes.data(), samples, outputs * dim, first + t, out_jacobian);
      }
    }
    for (int t = 0; t < count; ++t) {
      store_tile(encoded.data() + size_t(t) * outputs * kTile, samples, outputs, first + t, out);
    }
  });
}

// grad_jacobian may be null: the backward of hash_grid is that of hash_grid_with_grad at zero.
template <class S>
void backward(const GridTable<S>& table, const Tensor& grad, const Tensor* grad_jacobian,
              const Tensor& coords, S* grad_coords, S* grad_table) {
  const int dim = table.dim, outputs = table.outputs(), F = table.features;
  const Grid& grid = table.grid;
  const S* all_x = read<S>(coords);
  const S* all_grad = read<S>(grad);
  const S* all_slopes = grad_jacobian ? read<S>(*grad_jacobian) : nullptr;
  for (int64_t begin = 0; begin < coords.size(0); begin += kBackwardBatch) {
    const int64_t samples = std::min(kBackwardBatch, coords.size(0) - begin);
    const int64_t tiles = num_tiles(samples);
    Scratch<S> x(tiles * dim * kTile), g(tiles * outputs * kTile);
    Scratch<S> slopes(all_slopes ? tiles * outputs * dim * kTile : 0);
    // First pass, tiles side by side: into tile form, and the gradient of the coordinates.
    parallel_tasks(tiles, [&](int64_t tile, int) {
      S* tile_x = x.data() + tile * dim * kTile;
      S* tile_g = g.data() + tile * outputs * kTile;
      S* tile_slopes = slopes.data() + tile * outputs * dim * kTile;
      load_coords_tile(all_x + begin * dim, samples, dim, tile, tile_x);
      load_tile(all_grad + begin * outputs, samples, outputs, tile, tile_g);
      if (all_slopes) {
        load_tile(all_slopes + begin * outputs * dim, samples, outputs * dim, tile, tile_slopes);
      }
      if (!grad_coords) return;
      alignas(64) S sum[4 * kTile] = {};
      for (int l = 0; l < grid.num_levels; ++l) {
        const S* level_g = tile_g + l * F * kTile;
        if (all_slopes) {
          table.kernels.coords_with_grad(grid.level[l], grid.smoothstep, table.level_table(l),
                                         tile_x, level_g, tile_slopes + l * F * dim * kTile, sum);
        } else {
          table.kernels.coords(grid.level[l], grid.smoothstep, table.level_table(l), tile_x,
                               level_g, sum);
        }
      }
      store_tile(sum, samples, dim, tile, grad_coords + begin * dim);
    });
    if (!grad_table) continue;
    // Second pass, levels side by side: each is summed by one thread in the order of the samples.
    parallel_tasks(grid.num_levels, [&](int64_t task, int) {
      const int l = grid.num_levels - 1 - static_cast<int>(task);
      S* level_grad = grad_table + grid.level[l].offset * F;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const S* tile_x = x.data() + tile * dim * kTile;
        const S* level_g = g.data() + (tile * outputs + l * F) * kTile;
        if (all_slopes) {
          table.kernels.scatter_with_grad(grid.level[l], grid.smoothstep, tile_x, level_g,
                                          slopes.data() + (tile * outputs + l * F) * dim * kTile,
                                          level_grad);
        } else {
          table.kernels.scatter(grid.level[l], grid.smoothstep, tile_x, level_g, level_grad,
                                nullptr);
        }
      }
    });
  }
}

template <class S>
std::tuple<Tensor, Tensor> backward_tensors(const Grid& grid, const Tensor& grad,
                                            const Tensor* grad_jacobian, const Tensor& coords,
                                            const Tensor& table, bool need_coords,
                                            bool need_table) {
  const GridTable<S> bound(grid, coords.size(1), table.size(1), read<S>(table));
  Tensor grad_coords = empty_of(coords, {need_coords ? coords.size(0) : 0, coords.size(1)});
  Tensor grad_table = zeros_of(table, {need_table ? table.size(0) : 0, table.size(1)});
  backward<S>(bound, grad, grad_jacobian, coords, need_coords ? write<S>(grad_coords) : nullptr,
              need_table ? write<S>(grad_table) : nullptr);
  return {grad_coords, grad_table};
}

Tensor hash_grid(Tensor coords, Tensor table, int64_t num_levels, int64_t base_resolution,
                 double growth, int64_t log2_table_size, bool smoothstep) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  Tensor features = empty_of(coords, {coords.size(0), num_levels * table.size(1)});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    forward<S>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)), coords, features,
               nullptr);
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return features;
}

std::tuple<Tensor, Tensor> hash_grid_with_grad(Tensor coords, Tensor table, int64_t num_levels,
                                               int64_t base_resolution, double growth,
                                               int64_t log2_table_size, bool smoothstep) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  Tensor features = empty_of(coords, {coords.size(0), num_levels * table.size(1)});
  Tensor jacobian = empty_of(coords, {coords.size(0), num_levels * table.size(1), coords.size(1)});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    forward<S>(GridTable<S>(grid, coords.size(1), table.size(1), read<S>(table)), coords, features,
               &jacobian);
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return {features, jacobian};
}

std::tuple<Tensor, Tensor> hash_grid_backward(Tensor grad, Tensor coords, Tensor table,
                                              int64_t num_levels, int64_t base_resolution,
                                              double growth, int64_t log2_table_size,
                                              bool smoothstep, bool need_coords, bool need_table) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const auto run = is_double(coords) ? backward_tensors<double> : backward_tensors<float>;
  return run(grid, grad, nullptr, coords, table, need_coords, need_table);
}

std::tuple<Tensor, Tensor> hash_grid_with_grad_backward(Tensor grad, Tensor grad_jacobian,
                                                        Tensor coords, Tensor table,
                                                        int64_t num_levels, int64_t base_resolution,
                                                        double growth, int64_t log2_table_size,
                                                        bool smoothstep, bool need_coords,
                                                        bool need_table) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const auto run = is_double(coords) ? backward_tensors<double> : backward_tensors<float>;
  return run(grid, grad, &grad_jacobian, coords, table, need_coords, need_table);
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("hash_grid", TORCH_BOX(&fields::hash_grid));
  m.impl("hash_grid_with_grad", TORCH_BOX(&fields::hash_grid_with_grad));
  m.impl("hash_grid_backward", TORCH_BOX(&fields::hash_grid_backward));
  m.impl("hash_grid_with_grad_backward", TORCH_BOX(&fields::hash_grid_with_grad_backward));
}
