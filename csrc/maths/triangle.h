// A triangle and a point: how far they are apart, and where on the triangle the nearest point is.
//
// The search compares many triangles with one point, each in a frame of its own: origin at its
// first corner a, x along the side to b, z along its normal. There the triangle is flat, (0, 0),
// (b, 0), (cx, cy) with cy >= 0, and its sides are judged by lengths rather than by products of
// areas, so slivers are as exact as other triangles. The winner is computed again in double.
#pragma once

#include "lane.h"

namespace fields {

// Numbers of a triangle in its frame.
enum FrameRow {
  kOrigin = 0,  // of a; 3 numbers, as each axis has
  kAxisX = 3,
  kAxisY = 6,
  kAxisZ = 9,
  kB = 12,
  kCx = 13,
  kCy = 14,
  kInverseCa = 15,  // 1 over the squared length of the side, 0 where it has none
  kInverseBc = 16,
  kFrameRows = 17,
};

template <class V, class Row>
FIELDS_HD V along(const Row& row, int axis, V x, V y, V z) {
  return fma(row(axis), x, fma(row(axis + 1), y, row(axis + 2) * z));
}

// The point in the frame of a triangle; row(i) gives number i of it, for as many as V holds.
template <class V>
struct InFrame {
  V x, y, z;
};
template <class V, class Row>
FIELDS_HD InFrame<V> to_frame(const Row& row, V px, V py, V pz) {
  const V x = px - row(kOrigin), y = py - row(kOrigin + 1), z = pz - row(kOrigin + 2);
  return {along(row, kAxisX, x, y, z), along(row, kAxisY, x, y, z), along(row, kAxisZ, x, y, z)};
}

// Squared distance of a point in the plane to the side from the origin to (cx, cy).
template <class V>
FIELDS_HD V side_distance2(V x, V y, V cx, V cy, V inverse) {
  const V t = min(max(fma(x, cx, y * cy) * inverse, splat<V>(0)), splat<V>(1));
  const V ex = x - t * cx, ey = y - t * cy;
  return fma(ex, ex, ey * ey);
}

template <class V, class Row>
FIELDS_HD V triangle_distance2(const Row& row, V px, V py, V pz) {
  const InFrame<V> p = to_frame(row, px, py, pz);
  const V b = row(kB), cx = row(kCx), cy = row(kCy);
  const V zero = splat<V>(0), from_b = p.x - b, back = cx - b;
  const V beyond = p.x - min(max(p.x, zero), b);
  V outside = fma(beyond, beyond, p.y * p.y);
  outside = min(outside, side_distance2(p.x, p.y, cx, cy, row(kInverseCa)));
  outside = min(outside, side_distance2(from_b, p.y, back, cy, row(kInverseBc)));
  // Above the triangle if it is on the inner side of all three; never where there is no area.
  const V inner = min(p.y, min(p.x * cy - p.y * cx, p.y * back - from_b * cy));
  return fma(p.z, p.z, select(inner > zero, zero, outside));
}

// What of a triangle is nearest. The order is that of the pseudonormals.
enum Region { kFace = 0, kSide = 1, kCorner = 4 };  // sides ab, bc, ca; corners a, b, c

struct NearestOnTriangle {
  double distance2;
  double offset[3];  // from the nearest point to the given one
  int region;
};

FIELDS_HD double dot3(const double* a, const double* b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
FIELDS_HD void cross3(const double* a, const double* b, double* c) {
  c[0] = a[1] * b[2] - a[2] * b[1];
  c[1] = a[2] * b[0] - a[0] * b[2];
  c[2] = a[0] * b[1] - a[1] * b[0];
}

// corners: a, b, c as nine numbers.
FIELDS_HD NearestOnTriangle nearest_on_triangle(const float* corners, const float* point) {
  double side[3][3], from[3][3];  // side i leaves corner i; from corner i to the point
  for (int i = 0; i < 3; ++i) {
    for (int d = 0; d < 3; ++d) {
      const double corner = corners[3 * i + d];
      side[i][d] = double(corners[3 * ((i + 1) % 3) + d]) - corner;
      from[i][d] = double(point[d]) - corner;
    }
  }
  NearestOnTriangle best;
  double normal[3], inwards[3], inner[3];
  const double back[3] = {-side[2][0], -side[2][1], -side[2][2]};
  cross3(side[0], back, normal);
  for (int i = 0; i < 3; ++i) {
    cross3(normal, side[i], inwards);
    inner[i] = dot3(inwards, from[i]);
  }
  if (inner[0] > 0 && inner[1] > 0 && inner[2] > 0) {
    const double length2 = dot3(normal, normal), height = dot3(normal, from[0]);
    for (int d = 0; d < 3; ++d) best.offset[d] = normal[d] * (height / length2);
    best.distance2 = height * height / length2;
    best.region = kFace;
    return best;
  }
  // From corner a, which NaN leaves standing.
  best.distance2 = dot3(from[0], from[0]);
  for (int d = 0; d < 3; ++d) best.offset[d] = from[0][d];
  best.region = kCorner;
  for (int i = 0; i < 3; ++i) {
    const double length2 = dot3(side[i], side[i]), reach = dot3(side[i], from[i]);
    const double t = reach <= 0 ? 0.0 : reach >= length2 ? 1.0 : reach / length2;
    double offset[3];
    for (int d = 0; d < 3; ++d) offset[d] = from[i][d] - t * side[i][d];
    const double distance2 = dot3(offset, offset);
    if (distance2 < best.distance2) {
      best.distance2 = distance2;
      for (int d = 0; d < 3; ++d) best.offset[d] = offset[d];
      best.region = t == 0.0 ? kCorner + i : t == 1.0 ? kCorner + (i + 1) % 3 : kSide + i;
    }
  }
  return best;
}

// Fills row(i) of a triangle. One without area gets a frame in which it has no inside.
template <class Row>
void frame_of_triangle(const float* corners, const Row& row) {
  double ab[3], ac[3], bc[3], z[3], y[3], x[3] = {1, 0, 0};
  for (int d = 0; d < 3; ++d) {
    ab[d] = double(corners[3 + d]) - corners[d];
    ac[d] = double(corners[6 + d]) - corners[d];
    bc[d] = double(corners[6 + d]) - corners[3 + d];
  }
  const double ab2 = dot3(ab, ab), ac2 = dot3(ac, ac), bc2 = dot3(bc, bc);
  const double* longest = ab2 > 0 ? ab : ac;
  const double length = ::sqrt(dot3(longest, longest));
  if (length > 0) {
    for (int d = 0; d < 3; ++d) x[d] = longest[d] / length;
  }
  cross3(ab, ac, z);
  double area = ::sqrt(dot3(z, z));
  // Less than rounding leaves of nothing.
  if (!(area > 1e-14 * ::sqrt(ab2 * ac2))) {
    area = 0;
    const int least = x[0] * x[0] < 0.5 ? 0 : 1;  // an axis that x is far from
    double other[3] = {0, 0, 0};
    other[least] = 1;
    cross3(x, other, z);
  }
  const double scale = ::sqrt(dot3(z, z));
  for (int d = 0; d < 3; ++d) z[d] /= scale;
  cross3(z, x, y);
  for (int d = 0; d < 3; ++d) {
    row(kOrigin + d) = corners[d];
    row(kAxisX + d) = static_cast<float>(x[d]);
    row(kAxisY + d) = static_cast<float>(y[d]);
    row(kAxisZ + d) = static_cast<float>(z[d]);
  }
  row(kB) = static_cast<float>(::sqrt(ab2));
  row(kCx) = static_cast<float>(dot3(ac, x));
  row(kCy) = area > 0 ? static_cast<float>(dot3(ac, y)) : 0.0f;
  row(kInverseCa) = ac2 > 0 ? static_cast<float>(1 / ac2) : 0.0f;
  row(kInverseBc) = bc2 > 0 ? static_cast<float>(1 / bc2) : 0.0f;
}

}  // namespace fields
