// Bodies of grid_kernels.h, instantiated a dimension a file so that they compile side by side.
#pragma once

#include <stdexcept>

#include "cpu/grid_kernels.h"

namespace fields {

template <int D, int F, class V>
struct GridTile {
  using S = ScalarOf<V>;
  static constexpr int width = Lane<V>::width;
  static constexpr int corners = 1 << D;

  static FIELDS_HD void load_coords(const S* x, int s, V (&coords)[D]) {
#pragma GCC unroll 4
    for (int d = 0; d < D; ++d) coords[d] = load<V>(x + d * kTile + s);
  }

  // The corners c and c + 1 (c even) of a dense level are neighbouring rows, but for the last row
  // of all, whose neighbour is the first: one access of twice the size serves both (16 levels x 2:
  // encoding takes 27 against 35 ns a sample, scattering 37 against 45).
  static constexpr bool in_pairs = width > 1 && F <= 2;

  static FIELDS_HD bool are_neighbours(const GridLevel& level, IntOf<V> rows) {
    return !level.hashed && all(rows < splat_int<IntOf<V>>(level.rows - 1));
  }

  static FIELDS_HD void gather_corners(const GridLevel& level, const GridCell<D, V>& cell, int c,
                                       const S* table, V (&lower)[F], V (&upper)[F]) {
    const IntOf<V> rows = corner_row(level, cell, c);
    if constexpr (in_pairs) {
      if (are_neighbours(level, rows)) {
        V both[2 * F];
        gather_row_pairs<F>(table, rows, both);
#pragma GCC unroll 2
        for (int f = 0; f < F; ++f) lower[f] = both[f], upper[f] = both[F + f];
        return;
      }
    }
    gather_rows<F>(table, rows, lower);
    gather_rows<F>(table, corner_row(level, cell, c + 1), upper);
  }

  static void encode(const GridLevel& level, bool smoothstep, const S* table, const S* x,
                     S* features) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D];
      load_coords(x, s, coords);
      const auto cell = locate<0>(level, smoothstep, coords);
      V sum[F];
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) sum[f] = splat<V>(S(0));
#pragma GCC unroll 8
      for (int c = 0; c < corners; c += 2) {
        V lower[F], upper[F];
        gather_corners(level, cell, c, table, lower, upper);
        const V weight = corner_weight(cell, c), next = corner_weight(cell, c + 1);
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) {
          sum[f] = fma(next, upper[f], fma(weight, lower[f], sum[f]));
        }
      }
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) store<V>(features + f * kTile + s, sum[f]);
    }
  }

  static void fetch(const GridLevel& level, const S* table, const S* x) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D];
      load_coords(x, s, coords);
      const auto cell = locate<0>(level, false, coords);
#pragma GCC unroll 8
      for (int c = 0; c < corners; ++c) {
        alignas(64) uint32_t rows[width];
        store_int(rows, corner_row(level, cell, c));
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i) __builtin_prefetch(table + size_t(rows[i]) * F);
      }
    }
  }

  static void encode_with_grad(const GridLevel& level, bool smoothstep, const S* table, const S* x,
                               S* features, S* jacobian) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D];
      load_coords(x, s, coords);
      const auto cell = locate<1>(level, smoothstep, coords);
      V sum[F], slope[F][D];
      for (int f = 0; f < F; ++f) {
        sum[f] = splat<V>(S(0));
        for (int d = 0; d < D; ++d) slope[f][d] = splat<V>(S(0));
      }
      for (int c = 0; c < corners; ++c) {
        V row[F];
        gather_rows<F>(table, corner_row(level, cell, c), row);
        const V weight = corner_weight(cell, c);
        for (int f = 0; f < F; ++f) sum[f] = fma(weight, row[f], sum[f]);
        for (int d = 0; d < D; ++d) {
          const V w = corner_slope(cell, c, d);
          for (int f = 0; f < F; ++f) slope[f][d] = fma(w, row[f], slope[f][d]);
        }
      }
      for (int f = 0; f < F; ++f) {
        store<V>(features + f * kTile + s, sum[f]);
        for (int d = 0; d < D; ++d) store<V>(jacobian + (f * D + d) * kTile + s, slope[f][d]);
      }
    }
  }

  static void scatter(const GridLevel& level, bool smoothstep, const S* x, const S* grad,
                      S* level_grad, uint8_t* flags) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D], g[F];
      load_coords(x, s, coords);
      const auto cell = locate<0>(level, smoothstep, coords);
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) g[f] = load<V>(grad + f * kTile + s);
      if constexpr (in_pairs) {
        if (scatter_pairs(level, cell, g, level_grad, flags)) continue;
      }
      RowScatter<corners, F, F, V> rows;
#pragma GCC unroll 8
      for (int c = 0; c < corners; ++c) {
        const V weight = corner_weight(cell, c);
        V value[F];
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) value[f] = weight * g[f];
        rows.set(c, corner_row(level, cell, c), value);
      }
      rows.add_to(level_grad);
      if (flags) rows.template raise_flags<kFlagFloats>(flags);
    }
  }

  static FIELDS_HD bool scatter_pairs(const GridLevel& level, const GridCell<D, V>& cell,
                                      const V (&g)[F], S* level_grad, uint8_t* flags) {
    RowScatter<corners / 2, 2 * F, F, V> pairs;
#pragma GCC unroll 4
    for (int c = 0; c < corners; c += 2) {
      const IntOf<V> rows = corner_row(level, cell, c);
      if (!are_neighbours(level, rows)) return false;
      const V weight = corner_weight(cell, c), next = corner_weight(cell, c + 1);
      V value[2 * F];
#pragma GCC unroll 2
      for (int f = 0; f < F; ++f) value[f] = weight * g[f], value[F + f] = next * g[f];
      pairs.set(c / 2, rows, value);
    }
    pairs.add_to(level_grad);
    if (flags) pairs.template raise_flags<kFlagFloats>(flags);
    return true;
  }

  static void scatter_with_grad(const GridLevel& level, bool smoothstep, const S* x, const S* grad,
                                const S* grad_jacobian, S* level_grad) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D];
      load_coords(x, s, coords);
      const auto cell = locate<1>(level, smoothstep, coords);
      RowScatter<corners, F, F, V> rows;
      for (int c = 0; c < corners; ++c) {
        const V weight = corner_weight(cell, c);
        V value[F];
        for (int f = 0; f < F; ++f) value[f] = weight * load<V>(grad + f * kTile + s);
        for (int d = 0; d < D; ++d) {
          const V w = corner_slope(cell, c, d);
          for (int f = 0; f < F; ++f) {
            value[f] = fma(w, load<V>(grad_jacobian + (f * D + d) * kTile + s), value[f]);
          }
        }
        rows.set(c, corner_row(level, cell, c), value);
      }
      rows.add_to(level_grad);
    }
  }

  static void coords(const GridLevel& level, bool smoothstep, const S* table, const S* x,
                     const S* grad, S* grad_x) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D], sum[D];
      load_coords(x, s, coords);
      const auto cell = locate<1>(level, smoothstep, coords);
      for (int d = 0; d < D; ++d) sum[d] = load<V>(grad_x + d * kTile + s);
      for (int c = 0; c < corners; ++c) {
        const V dot = row_dot(table, corner_row(level, cell, c), grad + s);
        for (int d = 0; d < D; ++d) sum[d] = fma(corner_slope(cell, c, d), dot, sum[d]);
      }
      for (int d = 0; d < D; ++d) store<V>(grad_x + d * kTile + s, sum[d]);
    }
  }

  static void coords_with_grad(const GridLevel& level, bool smoothstep, const S* table, const S* x,
                               const S* grad, const S* grad_jacobian, S* grad_x) {
    for (int s = 0; s < kTile; s += width) {
      V coords[D], sum[D];
      load_coords(x, s, coords);
      const auto cell = locate<2>(level, smoothstep, coords);
      for (int d = 0; d < D; ++d) sum[d] = load<V>(grad_x + d * kTile + s);
      for (int c = 0; c < corners; ++c) {
        V row[F];
        gather_rows<F>(table, corner_row(level, cell, c), row);
        V dot = splat<V>(S(0));
        V along[D];  // sum over features of table * d loss / d jacobian
        for (int d = 0; d < D; ++d) along[d] = splat<V>(S(0));
        for (int f = 0; f < F; ++f) {
          dot = fma(row[f], load<V>(grad + f * kTile + s), dot);
          for (int d = 0; d < D; ++d) {
            along[d] = fma(row[f], load<V>(grad_jacobian + (f * D + d) * kTile + s), along[d]);
          }
        }
        for (int d = 0; d < D; ++d) {
          sum[d] = fma(corner_slope(cell, c, d), dot, sum[d]);
          for (int e = 0; e < D; ++e) {
            sum[d] = fma(corner_curvature(cell, c, d, e), along[e], sum[d]);
          }
        }
      }
      for (int d = 0; d < D; ++d) store<V>(grad_x + d * kTile + s, sum[d]);
    }
  }

  static FIELDS_HD V row_dot(const S* table, IntOf<V> rows, const S* grad) {
    V row[F];
    gather_rows<F>(table, rows, row);
    V dot = splat<V>(S(0));
    for (int f = 0; f < F; ++f) dot = fma(row[f], load<V>(grad + f * kTile), dot);
    return dot;
  }
};

template <class V, int D, int F>
GridKernels<ScalarOf<V>> kernels_of_tile() {
  using T = GridTile<D, F, V>;
  return {T::encode, T::fetch,           T::encode_with_grad, T::scatter, T::scatter_with_grad,
          T::coords, T::coords_with_grad};
}

template <class V, int D>
GridKernels<ScalarOf<V>> kernels_of_features(int features) {
  switch (features) {
    case 1:
      return kernels_of_tile<V, D, 1>();
    case 2:
      return kernels_of_tile<V, D, 2>();
    case 4:
      return kernels_of_tile<V, D, 4>();
    case 8:
      return kernels_of_tile<V, D, 8>();
    default:
      throw std::runtime_error("features per level must be 1, 2, 4 or 8");
  }
}

}  // namespace fields

#define FIELDS_GRID_KERNELS(D)                                   \
  namespace fields {                                             \
  template <>                                                    \
  GridKernels<float> grid_kernels_of<float, D>(int features) {   \
    return kernels_of_features<Pack, D>(features);               \
  }                                                              \
  template <>                                                    \
  GridKernels<double> grid_kernels_of<double, D>(int features) { \
    return kernels_of_features<double, D>(features);             \
  }                                                              \
  }
