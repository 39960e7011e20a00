// Elementary functions on packs. Errors measured against double precision in tests/test_ops_mlp.py.
#pragma once

#include "cpu/pack.h"

namespace fields {

namespace detail {
// To the nearest integer, for |x| < 2^22: adding 1.5 * 2^23 leaves no bits for the fraction.
FIELDS_HD Pack round_to_integer(Pack x, PackInt& bits) {
  const Pack magic = splat<Pack>(12582912.0f);
  const Pack shifted = x + magic;
  bits.v = (PackInt::Raw)shifted.v;
  return shifted - magic;
}
}  // namespace detail

// To the nearest integer, for |x| < 2^22.
FIELDS_HD Pack nearest(Pack x) {
  PackInt bits;
  return detail::round_to_integer(x, bits);
}

// Relative error below 2e-7 on [-87, 88]; clamped outside.
FIELDS_HD Pack exp(Pack x) {
  x = min(splat<Pack>(88.7f), max(splat<Pack>(-87.3f), x));  // NaN passes
  PackInt bits;
  const Pack n = detail::round_to_integer(x * splat<Pack>(1.44269504f), bits);
  Pack r = fma(n, splat<Pack>(-0.693145752f), x);
  r = fma(n, splat<Pack>(-1.42860677e-6f), r);
  Pack p = splat<Pack>(1.0f / 720.0f);
  p = fma(p, r, splat<Pack>(1.0f / 120.0f));
  p = fma(p, r, splat<Pack>(1.0f / 24.0f));
  p = fma(p, r, splat<Pack>(1.0f / 6.0f));
  p = fma(p, r, splat<Pack>(0.5f));
  p = fma(p, r, splat<Pack>(1.0f));
  p = fma(p, r, splat<Pack>(1.0f));
  // times 2^n: n stands in the low bits of the shifted number
  return {(Pack::Raw)((PackInt::Raw)p.v + (bits.v << 23))};
}

// For x in [0, 1]: 2 atanh(x / (2 + x)); relative error below 2e-7.
FIELDS_HD Pack log1p(Pack x) {
  const Pack s = x / (x + splat<Pack>(2.0f));
  const Pack s2 = s * s;
  Pack p = splat<Pack>(2.0f / 13.0f);
  p = fma(p, s2, splat<Pack>(2.0f / 11.0f));
  p = fma(p, s2, splat<Pack>(2.0f / 9.0f));
  p = fma(p, s2, splat<Pack>(2.0f / 7.0f));
  p = fma(p, s2, splat<Pack>(2.0f / 5.0f));
  p = fma(p, s2, splat<Pack>(2.0f / 3.0f));
  p = fma(p, s2, splat<Pack>(2.0f));
  return p * s;
}

namespace detail {
// x - n pi in two parts, the first with so few digits that n times it is exact: for |x| up to 10^4
// off by less than 1e-7.
FIELDS_HD Pack reduce_by_pi(Pack x, Pack n) {
  x = fma(n, splat<Pack>(-3.140625f), x);
  return fma(n, splat<Pack>(-9.67653590e-4f), x);
}

// cos on [-pi/2, pi/2], minimax in the even powers up to 10.
FIELDS_HD Pack cosine_core(Pack r) {
  const Pack r2 = r * r;
  Pack p = splat<Pack>(-2.61938141e-7f);
  p = fma(p, r2, splat<Pack>(2.47693042e-5f));
  p = fma(p, r2, splat<Pack>(-1.38885691e-3f));
  p = fma(p, r2, splat<Pack>(4.16666567e-2f));
  p = fma(p, r2, splat<Pack>(-0.5f));
  return fma(p, r2, splat<Pack>(1.0f));
}

// sin on [-pi/2, pi/2], minimax in the odd powers up to 9, error 5e-9 before rounding.
FIELDS_HD Pack sine_core(Pack r) {
  const Pack r2 = r * r;
  Pack p = splat<Pack>(2.60005460e-6f);
  p = fma(p, r2, splat<Pack>(-1.98066151e-4f));
  p = fma(p, r2, splat<Pack>(8.33301729e-3f));
  p = fma(p, r2, splat<Pack>(-1.66666571e-1f));
  return fma(p * r2, r, r);
}

FIELDS_HD Pack flip_sign(Pack x, PackInt odd) {
  return {(Pack::Raw)((PackInt::Raw)x.v ^ (odd.v << 31))};
}
}  // namespace detail

// Absolute error below 2e-7 for |x| < 200.
FIELDS_HD void sincos(Pack x, Pack& s, Pack& c) {
  PackInt bits;
  const Pack n = detail::round_to_integer(x * splat<Pack>(0.318309886f), bits);
  const Pack r = detail::reduce_by_pi(x, n);
  s = detail::flip_sign(detail::sine_core(r), bits);
  c = detail::flip_sign(detail::cosine_core(r), bits);
}

}  // namespace fields
