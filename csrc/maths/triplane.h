// Features on planes over every pair of axes: tri-planes in three dimensions (Chan et al. 2022,
// "Efficient Geometry-aware 3D GANs", section 4), one plane in two, six in four (Fridovich-Keil et
// al. 2023, "K-Planes", section 3.1).
//
// planes is [P][R][R][C], P = D (D - 1) / 2. Plane p lies over the axes (a, b), a < b, in the order
// xy, xz, xt, yz, yt, zt; the first axis runs along a row of texels, the second from row to row.
// Coordinates are clamped to [0, 1] by whoever loads them: only then are texels in bounds.
#pragma once

#include "lane.h"

namespace fields {

// Beyond 2^16 texels a float has few bits left for the place between two of them.
constexpr int64_t kMaxPlaneResolution = int64_t(1) << 16;
constexpr int64_t kMaxPlaneChannels = 4096;

constexpr int num_planes(int dim) { return dim * (dim - 1) / 2; }

struct AxisPair {
  int a, b;
};

FIELDS_HD AxisPair plane_axes(int dim, int plane) {
  int a = 0;
  for (int pairs = dim - 1; plane >= pairs; --pairs) {
    plane -= pairs;
    ++a;
  }
  return {a, a + 1 + plane};
}

// How an axis of the unit cube lies on R texels:
//   position = x (R - 1)      texel centres on the faces of the cube (align_corners), or
//   position = x R - 0.5      texel centres half a texel inside of them.
// Beyond the outermost centres their value goes on, or falls to a ring of zeros.
struct PlaneGrid {
  uint32_t resolution;  // R
  float scale;          // texels across the unit interval
  float offset;
  bool zero_padding;
};

inline PlaneGrid make_plane_grid(int64_t resolution, bool align_corners, bool zero_padding) {
  PlaneGrid grid;
  grid.resolution = static_cast<uint32_t>(resolution);
  grid.scale = static_cast<float>(align_corners ? resolution - 1 : resolution);
  grid.offset = align_corners ? 0.0f : -0.5f;
  // With centres on the faces nothing lies beyond them.
  grid.zero_padding = zero_padding && !align_corners;
  return grid;
}

// What a kernel needs to know of the planes.
struct PlaneShape {
  PlaneGrid grid;
  int dim;
  int channels;
  bool sum;  // of all planes; side by side otherwise

  FIELDS_HD int planes() const { return num_planes(dim); }
  FIELDS_HD int outputs() const { return sum ? channels : planes() * channels; }
  FIELDS_HD int first_output(int plane) const { return sum ? 0 : plane * channels; }
  FIELDS_HD size_t plane_size() const {
    return size_t(grid.resolution) * grid.resolution * channels;
  }
  FIELDS_HD size_t texel(uint32_t a, uint32_t b) const {
    return (size_t(b) * grid.resolution + a) * channels;
  }
};

// The two texels on both sides of a sample along one axis, their weights, and d weight / d x.
template <class V>
struct PlaneAxis {
  IntOf<V> texel[2];
  V weight[2];
  V slope[2];
};

template <class V>
FIELDS_HD PlaneAxis<V> locate_on_axis(const PlaneGrid& grid, V x) {
  using S = ScalarOf<V>;
  using I = IntOf<V>;
  const V scale = splat<V>(static_cast<S>(grid.scale));
  const V zero = splat<V>(S(0)), one = splat<V>(S(1));
  const I first = splat_int<I>(0), last = splat_int<I>(grid.resolution - 1);
  PlaneAxis<V> axis;
  if (grid.zero_padding) {
    // Counted from the zero before the first texel, so that it is never negative.
    const V position = fma(x, scale, splat<V>(static_cast<S>(grid.offset) + S(1)));
    const I cell = truncate(position);
    const V t = position - to_real<V>(cell);
    const auto has_lower = first < cell, has_upper = cell < splat_int<I>(grid.resolution);
    axis.texel[0] = select(has_lower, cell - splat_int<I>(1), first);
    axis.texel[1] = select(has_upper, cell, last);
    axis.weight[0] = select(has_lower, one - t, zero);
    axis.weight[1] = select(has_upper, t, zero);
    axis.slope[0] = select(has_lower, -scale, zero);
    axis.slope[1] = select(has_upper, scale, zero);
    return axis;
  }
  const V free = fma(x, scale, splat<V>(static_cast<S>(grid.offset)));
  const V position = min(max(free, zero), splat<V>(static_cast<S>(grid.resolution - 1)));
  const I cell = truncate(position);
  // The last texel is the upper one of the last cell, so that the slope at 1 is that before it.
  const I last_cell = splat_int<I>(grid.resolution > 1 ? grid.resolution - 2 : 0);
  axis.texel[0] = select(cell < last_cell, cell, last_cell);
  axis.texel[1] = axis.texel[0] + splat_int<I>(grid.resolution > 1 ? 1 : 0);
  const V t = position - to_real<V>(axis.texel[0]);
  axis.weight[0] = one - t;
  axis.weight[1] = t;
  axis.slope[1] = select(free != position, zero, scale);
  axis.slope[0] = -axis.slope[1];
  return axis;
}

// Value of one plane at a sample, its derivatives along both axes, and that along first the one and
// then the other. Along one axis twice it is 0.
template <class T>
struct PlaneSample {
  T value, along_a, along_b, along_both;
};

// texel[j][i]: the upper (1) or lower (0) one along b, then along a. T is a number or a block of
// channels. Terms that are not read cost nothing once this is inlined.
template <class T, class S>
FIELDS_HD PlaneSample<T> interpolate(const T (&texel)[2][2], const PlaneAxis<S>& a,
                                     const PlaneAxis<S>& b) {
  const T low = a.weight[0] * texel[0][0] + a.weight[1] * texel[0][1];
  const T high = a.weight[0] * texel[1][0] + a.weight[1] * texel[1][1];
  const T low_slope = a.slope[0] * texel[0][0] + a.slope[1] * texel[0][1];
  const T high_slope = a.slope[0] * texel[1][0] + a.slope[1] * texel[1][1];
  return {b.weight[0] * low + b.weight[1] * high,
          b.weight[0] * low_slope + b.weight[1] * high_slope, b.slope[0] * low + b.slope[1] * high,
          b.slope[0] * low_slope + b.slope[1] * high_slope};
}

}  // namespace fields
