// Winding numbers: how often a surface goes around a point, exact for a triangle near by, by a
// series for many triangles far away (Barill et al. 2018, Fast winding numbers for soups and
// clouds, first and second term of their expansion).
#pragma once

#include "triangle.h"

namespace fields {

// Numbers of a group of triangles, seen from far away.
enum MomentRow {
  kCentre = 0,  // of its area; 3 numbers
  kNear2 = 3,   // squared distance within which the series does not hold
  kDipole = 4,  // sum of areas times normals; 3 numbers
  kMoment = 7,  // of areas times (centroid - centre) times normal: xx, yy, zz, xy, xz, yz
  kMomentRows = 13,
};
constexpr double kNearRadii = 2.0;  // in radii of the group: 2 as the paper has it

// Abramowitz and Stegun 4.4.49 for the arctangent up to 1: within 2e-8. 0 at the origin.
template <class V>
FIELDS_HD V arctangent(V y, V x) {
  const V zero = splat<V>(0), ax = max(x, -x), ay = max(y, -y), most = max(ax, ay);
  const V t = select(most > zero, min(ax, ay) / most, zero), t2 = t * t;
  V r = splat<V>(0.0028662257f);
  const float terms[] = {-0.0161657367f, 0.0429096138f, -0.0752896400f, 0.1065626393f,
                         -0.1420889944f, 0.1999355085f, -0.3333314528f, 1.0f};
  for (const float term : terms) r = fma(r, t2, splat<V>(term));
  r = r * t;
  r = select(ay > ax, splat<V>(1.5707963268f) - r, r);
  r = select(x < zero, splat<V>(3.1415926536f) - r, r);
  return select(y < zero, -r, r);
}

// Of one triangle in its frame: its solid angle over 4 pi (van Oosterom and Strackee 1983).
template <class V, class Row>
FIELDS_HD V triangle_winding(const Row& row, V px, V py, V pz) {
  const InFrame<V> p = to_frame(row, px, py, pz);
  const V b = row(kB), cx = row(kCx), cy = row(kCy);
  const V bx = b - p.x, gx = cx - p.x, gy = cy - p.y, z2 = p.z * p.z;
  const V yz = fma(p.y, p.y, z2);
  const V to_a = sqrt(fma(p.x, p.x, yz)), to_b = sqrt(fma(bx, bx, yz));
  const V to_c = sqrt(fma(gx, gx, fma(gy, gy, z2)));
  const V ab = yz - p.x * bx, bc = fma(bx, gx, z2) - p.y * gy, ca = z2 - p.x * gx - p.y * gy;
  const V volume = -(p.z * b * cy);
  // A little more than rounding takes: beside a sliver nothing but that would be left of it.
  const V product = to_a * to_b * to_c * splat<V>(1.0000005f);
  const V scale = product + fma(ab, to_c, fma(bc, to_a, ca * to_b));
  // In its plane: none from outside, and from on it half on either side.
  const V angle = select(volume != splat<V>(0), arctangent(volume, scale), splat<V>(0));
  return angle * splat<V>(0.15915494f);
}

// The series; `near` says where it does not hold.
template <class V, class Row, class Mask>
FIELDS_HD V group_winding(const Row& row, V px, V py, V pz, Mask& near) {
  const V x = row(kCentre) - px, y = row(kCentre + 1) - py, z = row(kCentre + 2) - pz;
  const V r2 = fma(x, x, fma(y, y, z * z));
  near = r2 < row(kNear2);
  const V inverse2 = splat<V>(1) / r2, inverse3 = inverse2 * sqrt(inverse2);
  const V dipole = along(row, kDipole, x, y, z);
  const V xx = row(kMoment), yy = row(kMoment + 1), zz = row(kMoment + 2);
  const V mx = fma(xx, x, fma(row(kMoment + 3), y, row(kMoment + 4) * z));
  const V my = fma(row(kMoment + 3), x, fma(yy, y, row(kMoment + 5) * z));
  const V mz = fma(row(kMoment + 4), x, fma(row(kMoment + 5), y, zz * z));
  const V bent = fma(x, mx, fma(y, my, z * mz)) * splat<V>(3) * inverse2;
  return (dipole + xx + yy + zz - bent) * inverse3 * splat<V>(0.079577472f);
}

}  // namespace fields
