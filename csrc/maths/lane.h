// The lane: the number type over which the per-point maths is written once.
//
// A lane is a `float` in a CUDA thread, a SIMD pack of samples on the CPU (cpu/pack.h), and a
// `double` in the reference instance that the tests differentiate. Headers in maths/ know nothing
// of torch, of threads or of memory; they are compiled by g++ and by nvcc.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define FIELDS_HD __host__ __device__ __forceinline__
#else
#define FIELDS_HD inline __attribute__((always_inline))
#endif

namespace fields {

// Scalar: one number of the lane. Int: unsigned 32-bit integers beside it, one per number.
template <class V>
struct Lane;

template <>
struct Lane<float> {
  using Scalar = float;
  using Int = uint32_t;
  static constexpr int width = 1;
};

template <>
struct Lane<double> {
  using Scalar = double;
  using Int = uint32_t;
  static constexpr int width = 1;
};

template <class V>
using ScalarOf = typename Lane<V>::Scalar;
template <class V>
using IntOf = typename Lane<V>::Int;

template <class V>
FIELDS_HD V splat(ScalarOf<V> value) {
  return V(value);
}
template <class I>
FIELDS_HD I splat_int(uint32_t value) {
  return I(value);
}

FIELDS_HD float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
FIELDS_HD double fma(double a, double b, double c) { return ::fma(a, b, c); }

template <class T>
FIELDS_HD T select(bool condition, T yes, T no) {
  return condition ? yes : no;
}

// Where one side is NaN, max and min return b.
FIELDS_HD float max(float a, float b) { return a > b ? a : b; }
FIELDS_HD double max(double a, double b) { return a > b ? a : b; }
FIELDS_HD float min(float a, float b) { return a < b ? a : b; }
FIELDS_HD double min(double a, double b) { return a < b ? a : b; }
FIELDS_HD float sqrt(float a) { return ::sqrtf(a); }
FIELDS_HD double sqrt(double a) { return ::sqrt(a); }

// Towards zero; callers hold values in [0, 2^31).
FIELDS_HD uint32_t truncate(float a) { return static_cast<uint32_t>(static_cast<int32_t>(a)); }
FIELDS_HD uint32_t truncate(double a) { return static_cast<uint32_t>(static_cast<int32_t>(a)); }

template <class V>
FIELDS_HD V to_real(uint32_t a) {
  return static_cast<V>(static_cast<int32_t>(a));
}

FIELDS_HD bool any(bool condition) { return condition; }
FIELDS_HD bool all(bool condition) { return condition; }

// base[at]
FIELDS_HD uint32_t gather_int(const int32_t* base, uint32_t at) {
  return static_cast<uint32_t>(base[at]);
}
// base[at] and base[at + 1]; a pack reads two more bytes behind them.
FIELDS_HD void gather_byte_pair(const uint8_t* base, uint32_t at, float& first, float& second) {
  first = base[at];
  second = base[at + 1];
}
// A pack asks the cache for base[at] where `wanted`, before it is read; a thread does not.
FIELDS_HD void fetch_bytes(const uint8_t*, uint32_t, bool) {}

FIELDS_HD bool is_finite(float a) { return a - a == 0.0f; }

}  // namespace fields
