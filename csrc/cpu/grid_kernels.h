// The hash grid over one tile and one level, for every (dimension, features a level) pair.
//
// x is [D][kTile] with coordinates in [0, 1]; features are [F][kTile]; a jacobian is [F *
// D][kTile], feature major. `level_table` points to the level's first row.
#pragma once

#include "cpu/matrix.h"
#include "maths/hash_grid.h"

namespace fields {

// One flag for each 16 floats of a level's gradient: set when a sample touches them.
constexpr int kFlagFloats = 16;

template <class S>
struct GridKernels {
  void (*encode)(const GridLevel&, bool smoothstep, const S* level_table, const S* x, S* features);
  // Fetches the rows that encode would read, for a level that does not lie in cache.
  void (*fetch)(const GridLevel&, const S* level_table, const S* x);
  void (*encode_with_grad)(const GridLevel&, bool smoothstep, const S* level_table, const S* x,
                           S* features, S* jacobian);
  // level_grad += J_table^T grad; flags may be null
  void (*scatter)(const GridLevel&, bool smoothstep, const S* x, const S* grad, S* level_grad,
                  uint8_t* flags);
  void (*scatter_with_grad)(const GridLevel&, bool smoothstep, const S* x, const S* grad,
                            const S* grad_jacobian, S* level_grad);
  // grad_x [D][kTile] += J_x^T grad
  void (*coords)(const GridLevel&, bool smoothstep, const S* level_table, const S* x, const S* grad,
                 S* grad_x);
  void (*coords_with_grad)(const GridLevel&, bool smoothstep, const S* level_table, const S* x,
                           const S* grad, const S* grad_jacobian, S* grad_x);
};

// S is float (packs) or double (the reference instance). Throws std::runtime_error for a pair that
// is not built.
template <class S>
GridKernels<S> grid_kernels(int dim, int features);

// Defined in grid_kernels_{1,2,3,4}d.cpp.
template <class S, int D>
GridKernels<S> grid_kernels_of(int features);

}  // namespace fields
