// Real spherical harmonics of a unit vector as polynomials in x, y, z, up to degree 4 (bands 0 to
// 3), in the order and with the signs of instant-ngp.
#pragma once

#include "lane.h"

namespace fields {

constexpr int kMostHarmonicDegree = 4;

// put(i, value) for each of the degree^2 harmonics.
template <class V, class Put>
FIELDS_HD void spherical_harmonics(int degree, const V (&direction)[3], const Put& put) {
  using S = ScalarOf<V>;
  const auto k = [](double value) { return splat<V>(S(value)); };
  const V x = direction[0], y = direction[1], z = direction[2];
  put(0, k(0.28209479177387814));
  if (degree < 2) return;
  put(1, k(-0.48860251190291987) * y);
  put(2, k(0.48860251190291987) * z);
  put(3, k(-0.48860251190291987) * x);
  if (degree < 3) return;
  const V xx = x * x, yy = y * y, zz = z * z;
  put(4, k(1.0925484305920792) * x * y);
  put(5, k(-1.0925484305920792) * y * z);
  put(6, fma(k(0.94617469575755997), zz, k(-0.31539156525252005)));
  put(7, k(-1.0925484305920792) * x * z);
  put(8, k(0.54627421529603959) * (xx - yy));
  if (degree < 4) return;
  put(9, k(0.59004358992664352) * y * (yy - k(3) * xx));
  put(10, k(2.8906114426405538) * x * y * z);
  put(11, k(0.45704579946446572) * y * (k(1) - k(5) * zz));
  put(12, k(0.3731763325901154) * z * (k(5) * zz - k(3)));
  put(13, k(0.45704579946446572) * x * (k(1) - k(5) * zz));
  put(14, k(1.4453057213202769) * z * (xx - yy));
  put(15, k(0.59004358992664352) * x * (k(3) * yy - xx));
}

// grad_direction += J^T g, g(i) being the gradient of harmonic i; the polynomials' derivatives,
// free of the constraint that directions are of unit length.
template <class V, class Gradient>
FIELDS_HD void spherical_harmonics_backward(int degree, const V (&direction)[3], const Gradient& g,
                                            V (&grad_direction)[3]) {
  using S = ScalarOf<V>;
  const auto k = [](double value) { return splat<V>(S(value)); };
  const V x = direction[0], y = direction[1], z = direction[2];
  V &dx = grad_direction[0], &dy = grad_direction[1], &dz = grad_direction[2];
  if (degree < 2) return;
  dx = fma(k(-0.48860251190291987), g(3), dx);
  dy = fma(k(-0.48860251190291987), g(1), dy);
  dz = fma(k(0.48860251190291987), g(2), dz);
  if (degree < 3) return;
  const V g4 = k(1.0925484305920792) * g(4), g5 = k(-1.0925484305920792) * g(5);
  const V g7 = k(-1.0925484305920792) * g(7), g8 = k(2 * 0.54627421529603959) * g(8);
  dx = dx + y * g4 + z * g7 + x * g8;
  dy = dy + x * g4 + z * g5 - y * g8;
  dz = dz + y * g5 + x * g7 + k(2 * 0.94617469575755997) * z * g(6);
  if (degree < 4) return;
  const V xx = x * x, yy = y * y, zz = z * z, low = k(1) - k(5) * zz;
  const V g9 = k(3 * 0.59004358992664352) * g(9), g10 = k(2.8906114426405538) * g(10);
  const V g11 = k(0.45704579946446572) * g(11), g12 = k(0.3731763325901154) * g(12);
  const V g13 = k(0.45704579946446572) * g(13), g14 = k(1.4453057213202769) * g(14);
  const V g15 = k(3 * 0.59004358992664352) * g(15);
  const V twice = k(2) * x * y, square = yy - xx;
  dx = dx - twice * g9 + y * z * g10 + low * g13 + k(2) * x * z * g14 + square * g15;
  dy = dy + square * g9 + x * z * g10 + low * g11 - k(2) * y * z * g14 + twice * g15;
  dz =
      dz + x * y * g10 - k(10) * z * (y * g11 + x * g13) + (k(15) * zz - k(3)) * g12 - square * g14;
}

}  // namespace fields
