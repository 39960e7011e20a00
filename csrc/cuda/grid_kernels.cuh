// The hash grid over a batch on a GPU, for every (dimension, features a level) pair.
//
// Kernels run levels along grid.y: blocks of one level run side by side, so that its rows of the
// table stay in L2. Coordinates are clamped to [0, 1] as they are read. Rows of the table and of
// features are read and written as vectors: both begin at a multiple of min(16, row) bytes.
#pragma once

#include "cuda/launch.cuh"
#include "maths/hash_grid.h"

namespace fields::cuda {

template <class S>
struct GridTable {
  Grid grid;
  const S* table;  // [rows][F]
};

// Where the F features of (sample, level) begin: data + sample * per_sample + level * per_level.
template <class S>
struct Features {
  S* data;
  int64_t per_sample;
  int64_t per_level;
};

// [samples][levels][F], as the ops return them.
template <class S>
Features<S> sample_major(S* data, int num_levels, int F) {
  return {data, int64_t(num_levels) * F, F};
}
// [levels][samples][F]: what neighbouring threads read and write lies side by side.
template <class S>
Features<S> level_major(S* data, int64_t samples, int F) {
  return {data, F, samples * F};
}

template <class S>
struct GridKernels {
  void (*encode)(const Device&, const GridTable<S>&, const S* coords, int64_t samples,
                 Features<S> out);
  // jacobian [samples][levels * F][D]
  void (*encode_with_grad)(const Device&, const GridTable<S>&, const S* coords, int64_t samples,
                           Features<S> out, S* jacobian);
  // grad_table += J_table^T grad, with atomic additions: the last bits depend on their order
  void (*scatter)(const Device&, const Grid&, const S* coords, int64_t samples,
                  Features<const S> grad, S* grad_table);
  void (*scatter_with_grad)(const Device&, const Grid&, const S* coords, int64_t samples,
                            Features<const S> grad, const S* grad_jacobian, S* grad_table);
  // grad_coords = J_x^T grad
  void (*coords)(const Device&, const GridTable<S>&, const S* coords, int64_t samples,
                 Features<const S> grad, S* grad_coords);
  void (*coords_with_grad)(const Device&, const GridTable<S>&, const S* coords, int64_t samples,
                           Features<const S> grad, const S* grad_jacobian, S* grad_coords);
};

// Defined in grid_kernels_{1,2,3,4}d.cu.
template <class S, int D>
GridKernels<S> grid_kernels_of(int features);

template <class S>
GridKernels<S> grid_kernels(int64_t dim, int64_t features) {
  STD_TORCH_CHECK(features == 1 || features == 2 || features == 4 || features == 8,
                  "features per level must be 1, 2, 4 or 8");
  const int F = static_cast<int>(features);
  switch (dim) {
    case 1:
      return grid_kernels_of<S, 1>(F);
    case 2:
      return grid_kernels_of<S, 2>(F);
    case 3:
      return grid_kernels_of<S, 3>(F);
    case 4:
      return grid_kernels_of<S, 4>(F);
    default:
      STD_TORCH_CHECK(false, "hash grids have 1 to 4 dimensions");
  }
}

}  // namespace fields::cuda
