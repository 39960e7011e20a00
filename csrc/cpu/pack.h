// The CPU's lane: as many samples as one vector register holds, by the compiler's vector
// extensions (g++ and clang, any architecture). The width follows the flags that this copy of the
// sources is compiled with; fields/extension.py loads one copy at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "maths/lane.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace fields {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

struct Pack {
  typedef float Raw __attribute__((vector_size(4 * kWidth)));
  Raw v;
};
struct PackInt {
  typedef uint32_t Raw __attribute__((vector_size(4 * kWidth)));
  Raw v;
};
struct PackMask {
  typedef int32_t Raw __attribute__((vector_size(4 * kWidth)));
  Raw v;
};

template <>
struct Lane<Pack> {
  using Scalar = float;
  using Int = PackInt;
  static constexpr int width = kWidth;
};

template <>
FIELDS_HD Pack splat<Pack>(float value) {
  return {value - Pack::Raw{}};  // a plain broadcast: x - 0 is x, while 0 + x is not for x = -0
}
template <>
FIELDS_HD PackInt splat_int<PackInt>(uint32_t value) {
  return {PackInt::Raw{} + value};
}

FIELDS_HD Pack operator+(Pack a, Pack b) { return {a.v + b.v}; }
FIELDS_HD Pack operator-(Pack a, Pack b) { return {a.v - b.v}; }
FIELDS_HD Pack operator*(Pack a, Pack b) { return {a.v * b.v}; }
FIELDS_HD Pack operator/(Pack a, Pack b) { return {a.v / b.v}; }
FIELDS_HD Pack operator-(Pack a) { return {-a.v}; }
FIELDS_HD Pack& operator+=(Pack& a, Pack b) { return a = a + b; }
FIELDS_HD PackMask operator>(Pack a, Pack b) { return {a.v > b.v}; }
FIELDS_HD PackMask operator<(Pack a, Pack b) { return {a.v < b.v}; }
FIELDS_HD PackMask operator!=(Pack a, Pack b) { return {a.v != b.v}; }
FIELDS_HD PackMask operator==(Pack a, Pack b) { return {a.v == b.v}; }

FIELDS_HD PackInt operator+(PackInt a, PackInt b) { return {a.v + b.v}; }
FIELDS_HD PackInt operator-(PackInt a, PackInt b) { return {a.v - b.v}; }
FIELDS_HD PackInt operator*(PackInt a, PackInt b) { return {a.v * b.v}; }
FIELDS_HD PackInt operator^(PackInt a, PackInt b) { return {a.v ^ b.v}; }
FIELDS_HD PackInt operator&(PackInt a, PackInt b) { return {a.v & b.v}; }
FIELDS_HD PackInt operator>>(PackInt a, int bits) { return {a.v >> bits}; }
FIELDS_HD PackMask operator<(PackInt a, PackInt b) { return {a.v < b.v}; }

FIELDS_HD PackMask operator&(PackMask a, PackMask b) { return {a.v & b.v}; }

FIELDS_HD bool all(PackMask mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask.v) == 0xffff;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask.v) == 0xff;
#else
  int32_t every = -1;
  for (int i = 0; i < kWidth; ++i) every &= mask.v[i];
  return every != 0;
#endif
}

FIELDS_HD bool any(PackMask mask) { return !all(PackMask{~mask.v}); }

// A bit for each lane.
FIELDS_HD uint32_t bits(PackMask mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask.v);
#elif defined(__AVX2__)
  return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask.v));
#else
  uint32_t found = 0;
  for (int i = 0; i < kWidth; ++i) found |= (static_cast<uint32_t>(mask.v[i]) & 1u) << i;
  return found;
#endif
}

// Compiled with -ffp-contract=fast: one fused multiply-add where the machine has it.
FIELDS_HD Pack fma(Pack a, Pack b, Pack c) { return {a.v * b.v + c.v}; }

FIELDS_HD Pack select(PackMask mask, Pack yes, Pack no) { return {mask.v ? yes.v : no.v}; }
FIELDS_HD PackInt select(PackMask mask, PackInt yes, PackInt no) { return {mask.v ? yes.v : no.v}; }

FIELDS_HD Pack max(Pack a, Pack b) { return {a.v > b.v ? a.v : b.v}; }
FIELDS_HD Pack min(Pack a, Pack b) { return {a.v < b.v ? a.v : b.v}; }

FIELDS_HD Pack sqrt(Pack a) {
#if defined(__AVX512F__)
  return {(Pack::Raw)_mm512_sqrt_ps((__m512)a.v)};
#elif defined(__AVX2__)
  return {(Pack::Raw)_mm256_sqrt_ps((__m256)a.v)};
#else
  for (int i = 0; i < kWidth; ++i) a.v[i] = __builtin_sqrtf(a.v[i]);
  return a;
#endif
}

FIELDS_HD PackInt truncate(Pack a) {
  return {(PackInt::Raw) __builtin_convertvector(a.v, PackMask::Raw)};
}
template <class V>
FIELDS_HD V to_real(PackInt a) {
  return {__builtin_convertvector((PackMask::Raw)a.v, Pack::Raw)};
}

// Memory, aligned or not; the compiler picks the instruction.
template <class V>
FIELDS_HD V load(const ScalarOf<V>* p) {
  V value;
  std::memcpy(&value, p, sizeof(V));
  return value;
}
template <class V>
FIELDS_HD void store(ScalarOf<V>* p, V value) {
  std::memcpy(p, &value, sizeof(V));
}
FIELDS_HD void store_int(uint32_t* p, PackInt value) { std::memcpy(p, &value, sizeof(value)); }
FIELDS_HD void store_int(uint32_t* p, uint32_t value) { *p = value; }

FIELDS_HD float sum(Pack a) {
  float total = 0;
  for (int i = 0; i < kWidth; ++i) total += a.v[i];
  return total;
}
FIELDS_HD double sum(double a) { return a; }

namespace detail {

template <class Raw, size_t... I>
FIELDS_HD Raw shuffle(Raw a, Raw b, std::index_sequence<I...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, static_cast<int>(I)...);
#else
  typedef int32_t Mask __attribute__((vector_size(sizeof(Raw))));
  return __builtin_shuffle(a, b, Mask{static_cast<int32_t>(I)...});
#endif
}

template <int Offset, size_t... I>
constexpr auto interleave_order(std::index_sequence<I...>) {
  return std::index_sequence<(Offset + I / 2 + (I % 2) * kWidth)...>{};
}
template <int Offset, size_t... I>
constexpr auto stride_order(std::index_sequence<I...>) {
  return std::index_sequence<(2 * I + Offset)...>{};
}
using AllLanes = std::make_index_sequence<kWidth>;

}  // namespace detail

// a0 b0 a1 b1 ... of the lower halves, then of the upper halves.
FIELDS_HD Pack interleave_low(Pack a, Pack b) {
  return {detail::shuffle(a.v, b.v, decltype(detail::interleave_order<0>(detail::AllLanes{})){})};
}
FIELDS_HD Pack interleave_high(Pack a, Pack b) {
  return {detail::shuffle(a.v, b.v,
                          decltype(detail::interleave_order<kWidth / 2>(detail::AllLanes{})){})};
}
// Every second number of a followed by b, from the first or from the second on.
FIELDS_HD Pack even_lanes(Pack a, Pack b) {
  return {detail::shuffle(a.v, b.v, decltype(detail::stride_order<0>(detail::AllLanes{})){})};
}
FIELDS_HD Pack odd_lanes(Pack a, Pack b) {
  return {detail::shuffle(a.v, b.v, decltype(detail::stride_order<1>(detail::AllLanes{})){})};
}

}  // namespace fields
