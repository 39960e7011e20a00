// Coordinate-aware modulation (Lee et al. 2024, section 3): a layer's features, normalised without
// affine, times gamma(p) plus beta(p), which are read by linear interpolation from small grids over
// a few of the coordinates.
//
//   place   = p (size - 1), so that the first and the last knot of an axis lie at 0 and 1
//   cell    = min(floor(place), size - 2), t = place - cell
//   value   = sum over the 2^K knots of the cell of their weight times grid[knot]
//
// Axis k of a grid belongs to coordinate k, the last axis is contiguous, and the values of a knot
// (one, or one for each feature) lie side by side. Positions are clamped to [0, 1] by whoever loads
// them: only then are knots in bounds.
#pragma once

#include "activation.h"

namespace fields {

constexpr int kMaxModulationDims = 3;
constexpr float kNormEps = 1e-5f;  // that of torch's LayerNorm

struct ModulationGrid {
  int dim;
  int size[kMaxModulationDims];  // knots along an axis, at least 2
  FIELDS_HD int corners() const { return 1 << dim; }
  FIELDS_HD int64_t knots() const {
    int64_t count = 1;
    for (int d = 0; d < dim; ++d) count *= size[d];
    return count;
  }
};

// The knots around one sample: corner c is a bit mask, bit d set means the upper one along axis d.
template <class V>
struct ModulationCell {
  IntOf<V> knot[1 << kMaxModulationDims];
  V weight[1 << kMaxModulationDims];
  V t[kMaxModulationDims];
};

template <class V>
FIELDS_HD ModulationCell<V> locate_knots(const ModulationGrid& grid, const V* p) {
  using S = ScalarOf<V>;
  using I = IntOf<V>;
  ModulationCell<V> cell;
  cell.knot[0] = splat_int<I>(0);
  cell.weight[0] = splat<V>(S(1));
  uint32_t stride = static_cast<uint32_t>(grid.knots());
  for (int d = 0; d < grid.dim; ++d) {
    stride /= grid.size[d];
    const V place = p[d] * splat<V>(S(grid.size[d] - 1));
    const I lower = truncate(min(place, splat<V>(S(grid.size[d] - 2))));
    cell.t[d] = place - to_real<V>(lower);
    const I first = lower * splat_int<I>(stride);
    for (int c = 0; c < 1 << d; ++c) {
      cell.knot[c] = cell.knot[c] + first;
      cell.knot[c | 1 << d] = cell.knot[c] + splat_int<I>(stride);
      cell.weight[c | 1 << d] = cell.weight[c] * cell.t[d];
      cell.weight[c] = cell.weight[c] * (splat<V>(S(1)) - cell.t[d]);
    }
  }
  return cell;
}

// d weight / d p_axis
template <class V>
FIELDS_HD V knot_slope(const ModulationGrid& grid, const ModulationCell<V>& cell, int corner,
                       int axis) {
  using S = ScalarOf<V>;
  const S scale = S(grid.size[axis] - 1);
  V slope = splat<V>((corner >> axis) & 1 ? scale : -scale);
  for (int d = 0; d < grid.dim; ++d) {
    if (d == axis) continue;
    slope = slope * ((corner >> d) & 1 ? cell.t[d] : splat<V>(S(1)) - cell.t[d]);
  }
  return slope;
}

struct Modulation {
  ModulationGrid grid;
  int features;
  int channels;   // values of a knot: 1 for all features, or as many as features
  int64_t group;  // samples that are normalised together, 0 for no normalisation
  Activation activation;
  double omega;  // frequency of a sine

  FIELDS_HD int64_t grid_size() const { return grid.knots() * channels; }

  // The activation at z, and its derivative by z.
  template <class V>
  FIELDS_HD V activate_at(V z, V& slope) const {
    if (activation == Activation::relu) {  // apart, so that the choice leaves the loop
      slope = select(z > splat<V>(0), splat<V>(1), splat<V>(0));
      return max(splat<V>(0), z);
    }
    if (activation == Activation::sine) {
      const V frequency = splat<V>(static_cast<ScalarOf<V>>(omega));
      V value;
      sincos(z * frequency, value, slope);
      slope = slope * frequency;
      return value;
    }
    slope = splat<V>(1);
    return z;
  }
};

}  // namespace fields
