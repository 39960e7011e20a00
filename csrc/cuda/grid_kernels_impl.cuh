// Bodies of grid_kernels.cuh, instantiated a dimension a file so that they compile side by side.
#pragma once

#include "cuda/grid_kernels.cuh"
#include "cuda/grid_row.cuh"

namespace fields::cuda {

// A thread is one sample on one level, blockIdx.y.
template <class S, int D, int F>
__global__ void encode(GridTable<S> table, const S* coords, int64_t samples, Features<S> out) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const GridLevel& level = table.grid.level[blockIdx.y];
  S x[D];
  load_coords(coords, n, x);
  store_row(out.data + n * out.per_sample + blockIdx.y * out.per_level,
            interpolate<F>(level, table.grid.smoothstep, table.table + level.offset * F, x));
}

template <class S, int D, int F>
__global__ void encode_with_grad(GridTable<S> table, const S* coords, int64_t samples,
                                 Features<S> out, S* jacobian) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const GridLevel& level = table.grid.level[blockIdx.y];
  const S* rows = table.table + level.offset * F;
  S x[D];
  load_coords(coords, n, x);
  const auto cell = locate<1>(level, table.grid.smoothstep, x);
  Row<S, F> sum = {};
  S slope[F][D] = {};
#pragma unroll
  for (int c = 0; c < 1 << D; ++c) {
    const auto row = load_row<S, F>(rows + size_t(corner_row(level, cell, c)) * F);
    const S weight = corner_weight(cell, c);
#pragma unroll
    for (int f = 0; f < F; ++f) sum.value[f] = fma(weight, row.value[f], sum.value[f]);
#pragma unroll
    for (int d = 0; d < D; ++d) {
      const S w = corner_slope(cell, c, d);
#pragma unroll
      for (int f = 0; f < F; ++f) slope[f][d] = fma(w, row.value[f], slope[f][d]);
    }
  }
  store_row(out.data + n * out.per_sample + blockIdx.y * out.per_level, sum);
  S* at = jacobian + (n * table.grid.num_levels + blockIdx.y) * (F * D);
#pragma unroll
  for (int f = 0; f < F; ++f) {
#pragma unroll
    for (int d = 0; d < D; ++d) at[f * D + d] = slope[f][d];
  }
}

// grad_jacobian is read only where WithGrad.
template <class S, int D, int F, bool WithGrad>
__global__ void scatter(Grid grid, const S* coords, int64_t samples, Features<const S> grad,
                        const S* grad_jacobian, S* grad_table) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const GridLevel& level = grid.level[blockIdx.y];
  S x[D];
  load_coords(coords, n, x);
  const auto g = load_row<S, F>(grad.data + n * grad.per_sample + blockIdx.y * grad.per_level);
  const S* along = grad_jacobian + (n * grid.num_levels + blockIdx.y) * (F * D);
  const auto cell = locate<WithGrad ? 1 : 0>(level, grid.smoothstep, x);
  S* rows = grad_table + level.offset * F;
#pragma unroll
  for (int c = 0; c < 1 << D; ++c) {
    const S weight = corner_weight(cell, c);
    Row<S, F> value;
#pragma unroll
    for (int f = 0; f < F; ++f) value.value[f] = weight * g.value[f];
    if constexpr (WithGrad) {
#pragma unroll
      for (int d = 0; d < D; ++d) {
        const S w = corner_slope(cell, c, d);
#pragma unroll
        for (int f = 0; f < F; ++f) value.value[f] = fma(w, along[f * D + d], value.value[f]);
      }
    }
    add_row(rows + size_t(corner_row(level, cell, c)) * F, value);
  }
}

// A thread is one sample: it sums over all levels.
template <class S, int D, int F, bool WithGrad>
__global__ void coords_gradient(GridTable<S> table, const S* coords, int64_t samples,
                                Features<const S> grad, const S* grad_jacobian, S* grad_coords) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const Grid& grid = table.grid;
  S x[D], sum[D] = {};
  load_coords(coords, n, x);
  for (int l = 0; l < grid.num_levels; ++l) {
    const GridLevel& level = grid.level[l];
    const S* rows = table.table + level.offset * F;
    const auto cell = locate<WithGrad ? 2 : 1>(level, grid.smoothstep, x);
    const auto g = load_row<S, F>(grad.data + n * grad.per_sample + l * grad.per_level);
#pragma unroll
    for (int c = 0; c < 1 << D; ++c) {
      const auto row = load_row<S, F>(rows + size_t(corner_row(level, cell, c)) * F);
      S dot = S(0);
#pragma unroll
      for (int f = 0; f < F; ++f) dot = fma(row.value[f], g.value[f], dot);
#pragma unroll
      for (int d = 0; d < D; ++d) sum[d] = fma(corner_slope(cell, c, d), dot, sum[d]);
      if constexpr (WithGrad) {
        const S* along = grad_jacobian + (n * grid.num_levels + l) * (F * D);
#pragma unroll
        for (int e = 0; e < D; ++e) {
          S part = S(0);  // sum over features of table * d loss / d jacobian along e
#pragma unroll
          for (int f = 0; f < F; ++f) part = fma(row.value[f], along[f * D + e], part);
#pragma unroll
          for (int d = 0; d < D; ++d) {
            sum[d] = fma(corner_curvature(cell, c, d, e), part, sum[d]);
          }
        }
      }
    }
  }
#pragma unroll
  for (int d = 0; d < D; ++d) grad_coords[n * D + d] = sum[d];
}

template <class S, int D, int F>
GridKernels<S> grid_launchers() {
  using Table = GridTable<S>;
  GridKernels<S> kernels;
  kernels.encode = [](const Device& device, const Table& table, const S* coords, int64_t samples,
                      Features<S> out) {
    launch_each(device, encode<S, D, F>, samples, table.grid.num_levels, table, coords, samples,
                out);
  };
  kernels.encode_with_grad = [](const Device& device, const Table& table, const S* coords,
                                int64_t samples, Features<S> out, S* jacobian) {
    launch_each(device, encode_with_grad<S, D, F>, samples, table.grid.num_levels, table, coords,
                samples, out, jacobian);
  };
  kernels.scatter = [](const Device& device, const Grid& grid, const S* coords, int64_t samples,
                       Features<const S> grad, S* grad_table) {
    launch_each(device, scatter<S, D, F, false>, samples, grid.num_levels, grid, coords, samples,
                grad, static_cast<const S*>(nullptr), grad_table);
  };
  kernels.scatter_with_grad = [](const Device& device, const Grid& grid, const S* coords,
                                 int64_t samples, Features<const S> grad, const S* grad_jacobian,
                                 S* grad_table) {
    launch_each(device, scatter<S, D, F, true>, samples, grid.num_levels, grid, coords, samples,
                grad, grad_jacobian, grad_table);
  };
  kernels.coords = [](const Device& device, const Table& table, const S* coords, int64_t samples,
                      Features<const S> grad, S* grad_coords) {
    launch_each(device, coords_gradient<S, D, F, false>, samples, 1, table, coords, samples, grad,
                static_cast<const S*>(nullptr), grad_coords);
  };
  kernels.coords_with_grad = [](const Device& device, const Table& table, const S* coords,
                                int64_t samples, Features<const S> grad, const S* grad_jacobian,
                                S* grad_coords) {
    launch_each(device, coords_gradient<S, D, F, true>, samples, 1, table, coords, samples, grad,
                grad_jacobian, grad_coords);
  };
  return kernels;
}

template <class S, int D>
GridKernels<S> grid_kernels_of(int features) {
  switch (features) {
    case 1:
      return grid_launchers<S, D, 1>();
    case 2:
      return grid_launchers<S, D, 2>();
    case 4:
      return grid_launchers<S, D, 4>();
    default:
      return grid_launchers<S, D, 8>();
  }
}

}  // namespace fields::cuda
