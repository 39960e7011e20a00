// Multiresolution hash grid (Mueller et al. 2022, "Instant Neural Graphics Primitives", section 3),
// with tiny-cuda-nn's rules, so that its configurations and weights can be exchanged:
//   scale_l      = base_resolution * growth^l - 1, in float
//   resolution_l = ceil(scale_l) + 1
//   rows_l       = min(round_up(resolution_l^D, 8), 2^log2_table_size)
//   position     = x * scale_l + 0.5, cell = floor(position), weight = its fraction (linear) or
//                  w^2 (3 - 2 w) of it (smoothstep)
//   row          = sum cell_d * resolution^d where that fits in rows_l (dense), otherwise
//                  XOR of cell_d * prime_d (hashed), modulo rows_l
// The table holds the levels one behind the other, F features a row. Coordinates are clamped to
// [0, 1] by whoever loads them: only then are dense rows in bounds.
#pragma once

#include "lane.h"

namespace fields {

constexpr int kMaxLevels = 32;

struct GridLevel {
  float scale;          // cells across the unit interval
  uint32_t resolution;  // vertices along an axis
  uint32_t rows;        // rows of the table that this level owns
  int64_t offset;       // its first row
  bool hashed;
};

// Geometry of all levels, filled on the host (make_grid) and passed to kernels by value.
struct Grid {
  int num_levels;
  bool smoothstep;
  int64_t rows;  // of the whole table
  GridLevel level[kMaxLevels];
};

inline Grid make_grid(int dim, int num_levels, int base_resolution, double growth,
                      int log2_table_size, bool smoothstep) {
  Grid grid{};
  grid.num_levels = num_levels;
  grid.smoothstep = smoothstep;
  // Rounded from double: the sizes must be those of fields/grid_levels.py to the last bit.
  const float log2_growth =
      static_cast<float>(std::log2(static_cast<double>(static_cast<float>(growth))));
  const uint64_t limit = uint64_t(1) << log2_table_size;
  for (int l = 0; l < num_levels; ++l) {
    GridLevel& level = grid.level[l];
    const double exponent = static_cast<float>(l) * log2_growth;
    const float power = static_cast<float>(std::exp2(exponent));
    level.scale = power * static_cast<float>(base_resolution);
    level.scale -= 1.0f;
    level.resolution = static_cast<uint32_t>(std::ceil(level.scale)) + 1;
    uint64_t vertices = 1;
    for (int d = 0; d < dim && vertices <= limit; ++d) vertices *= level.resolution;
    level.hashed = vertices > limit;
    const uint64_t padded = (vertices + 7) / 8 * 8;
    level.rows = static_cast<uint32_t>(padded < limit ? padded : limit);
    level.offset = grid.rows;
    grid.rows += level.rows;
  }
  return grid;
}

// One sample's cell on one level: index terms and weights of the lower and upper vertex along each
// axis. A vertex of the cell is a bit mask `corner`: bit d set means the upper one along axis d.
template <int D, class V>
struct GridCell {
  IntOf<V> term[D][2];
  V weight[D][2];
  V slope[D];      // d weight[d][1] / d x_d = - d weight[d][0] / d x_d
  V curvature[D];  // d^2 weight[d][1] / d x_d^2
};

FIELDS_HD uint32_t hash_prime(int axis) {
  // tiny-cuda-nn's coherent prime hash: the first axis keeps neighbours in one cache line.
  return axis == 0 ? 1u : axis == 1 ? 2654435761u : axis == 2 ? 805459861u : 3674653429u;
}

// Derivatives: how many orders of d weight / d x are filled in.
template <int Derivatives, int D, class V>
FIELDS_HD GridCell<D, V> locate(const GridLevel& level, bool smoothstep, const V (&x)[D]) {
  using S = ScalarOf<V>;
  using I = IntOf<V>;
  GridCell<D, V> cell;
  const V scale = splat<V>(static_cast<S>(level.scale));
  uint32_t stride = 1;
#pragma GCC unroll 4
  for (int d = 0; d < D; ++d) {
    const V position = fma(x[d], scale, splat<V>(S(0.5)));
    const I vertex = truncate(position);
    const V t = position - to_real<V>(vertex);
    const uint32_t step = level.hashed ? hash_prime(d) : stride;
    cell.term[d][0] = vertex * splat_int<I>(step);
    cell.term[d][1] = cell.term[d][0] + splat_int<I>(step);
    stride *= level.resolution;
    V upper = t;
    if (smoothstep) upper = t * t * fma(t, splat<V>(S(-2)), splat<V>(S(3)));
    cell.weight[d][1] = upper;
    cell.weight[d][0] = splat<V>(S(1)) - upper;
    if constexpr (Derivatives >= 1) {
      cell.slope[d] = scale;
      if (smoothstep) cell.slope[d] = scale * splat<V>(S(6)) * t * (splat<V>(S(1)) - t);
    }
    if constexpr (Derivatives >= 2) {
      cell.curvature[d] = splat<V>(S(0));
      if (smoothstep) {
        cell.curvature[d] = scale * scale * fma(t, splat<V>(S(-12)), splat<V>(S(6)));
      }
    }
  }
  return cell;
}

template <int D, class V>
FIELDS_HD IntOf<V> corner_row(const GridLevel& level, const GridCell<D, V>& cell, int corner) {
  using I = IntOf<V>;
  I row = cell.term[0][corner & 1];
  if (level.hashed) {
#pragma GCC unroll 3
    for (int d = 1; d < D; ++d) row = row ^ cell.term[d][(corner >> d) & 1];
    return row & splat_int<I>(level.rows - 1);
  }
#pragma GCC unroll 3
  for (int d = 1; d < D; ++d) row = row + cell.term[d][(corner >> d) & 1];
  // The upper vertex at x = 1 lies one past the last: tiny-cuda-nn wraps it, and so do we.
  const I rows = splat_int<I>(level.rows);
  return select(row < rows, row, row - rows);
}

template <int D, class V>
FIELDS_HD V corner_weight(const GridCell<D, V>& cell, int corner) {
  V weight = cell.weight[0][corner & 1];
#pragma GCC unroll 3
  for (int d = 1; d < D; ++d) weight = weight * cell.weight[d][(corner >> d) & 1];
  return weight;
}

// d weight / d x_axis
template <int D, class V>
FIELDS_HD V corner_slope(const GridCell<D, V>& cell, int corner, int axis) {
  V slope = (corner >> axis) & 1 ? cell.slope[axis] : -cell.slope[axis];
#pragma GCC unroll 4
  for (int d = 0; d < D; ++d) {
    if (d != axis) slope = slope * cell.weight[d][(corner >> d) & 1];
  }
  return slope;
}

// d^2 weight / d x_a d x_b
template <int D, class V>
FIELDS_HD V corner_curvature(const GridCell<D, V>& cell, int corner, int a, int b) {
  V value;
  if (a == b) {
    value = (corner >> a) & 1 ? cell.curvature[a] : -cell.curvature[a];
  } else {
    value = cell.slope[a] * cell.slope[b];
    if (((corner >> a) ^ (corner >> b)) & 1) value = -value;
  }
#pragma GCC unroll 4
  for (int d = 0; d < D; ++d) {
    if (d != a && d != b) value = value * cell.weight[d][(corner >> d) & 1];
  }
  return value;
}

}  // namespace fields
