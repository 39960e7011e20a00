// How packs meet memory: rows of a table gathered and scattered, blocks transposed.
#pragma once

#include "cpu/pack.h"
#include "cpu/scratch.h"

namespace fields {

namespace detail {

// Shuffles within groups of four lanes: number j of a group is number Low + Pair * (j / 2) +
// Step * (j % 2) of the same group of a, or of b where Second says so for j.
template <int Low, int Pair, int Step, unsigned Second, size_t... I>
constexpr auto group_order(std::index_sequence<I...>) {
  return std::index_sequence<(I / 4 * 4 + Low + Pair * (I % 4 / 2) + Step * (I % 2) +
                              (Second >> (I % 4) & 1) * kWidth)...>{};
}
template <int Low, int Pair, int Step, unsigned Second>
FIELDS_HD Pack::Raw shuffle_groups(Pack::Raw a, Pack::Raw b) {
  return shuffle(a, b, decltype(group_order<Low, Pair, Step, Second>(AllLanes{})){});
}

#if defined(__AVX2__)
// Four numbers from each of the places 0, 4, 8, 12 of `load_four`, side by side.
template <class LoadFour>
FIELDS_HD Pack::Raw load_groups(const LoadFour& load_four) {
#if defined(__AVX512F__)
  __m512 groups = _mm512_castps128_ps512(load_four(0));
  groups = _mm512_insertf32x4(groups, load_four(4), 1);
  groups = _mm512_insertf32x4(groups, load_four(8), 2);
  return (Pack::Raw)_mm512_insertf32x4(groups, load_four(12), 3);
#else
  const __m256 groups = _mm256_castps128_ps256(load_four(0));
  return (Pack::Raw)_mm256_insertf128_ps(groups, load_four(4), 1);
#endif
}
#endif

// base[at] for each sample of the pack.
FIELDS_HD Pack gather_ones(const float* base, const uint32_t* at) {
  Pack::Raw out = {};
  for (int s = 0; s < kWidth; ++s) out[s] = base[at[s]];
  return {out};
}

// out[i] = base[offset + i], i < 4, for each sample of the pack. Loads of 16 bytes and a transpose
// in registers take half the time of gather instructions (Zen 4).
FIELDS_HD void gather_quads(const float* base, PackInt offset, Pack (&out)[4]) {
  alignas(64) uint32_t at[kWidth];
  store_int(at, offset);
#if defined(__AVX2__)
  Pack::Raw quad[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    quad[i] = load_groups([&](int s) { return _mm_loadu_ps(base + at[s + i]); });
  }
  const Pack::Raw low01 = shuffle_groups<0, 1, 0, 0b1010>(quad[0], quad[1]);
  const Pack::Raw high01 = shuffle_groups<2, 1, 0, 0b1010>(quad[0], quad[1]);
  const Pack::Raw low23 = shuffle_groups<0, 1, 0, 0b1010>(quad[2], quad[3]);
  const Pack::Raw high23 = shuffle_groups<2, 1, 0, 0b1010>(quad[2], quad[3]);
  out[0].v = shuffle_groups<0, 0, 1, 0b1100>(low01, low23);
  out[1].v = shuffle_groups<2, 0, 1, 0b1100>(low01, low23);
  out[2].v = shuffle_groups<0, 0, 1, 0b1100>(high01, high23);
  out[3].v = shuffle_groups<2, 0, 1, 0b1100>(high01, high23);
#else
  for (int i = 0; i < 4; ++i) out[i] = gather_ones(base + i, at);
#endif
}

// out[i] = base[offset + i], i < 2
FIELDS_HD void gather_twins(const float* base, PackInt offset, Pack (&out)[2]) {
  alignas(64) uint32_t at[kWidth];
  store_int(at, offset);
#if defined(__AVX2__)
  const auto twins = [&](int s) {
    const __m128i first = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(base + at[s]));
    const __m64* second = reinterpret_cast<const __m64*>(base + at[s + 1]);
    return _mm_loadh_pi(_mm_castsi128_ps(first), second);
  };
  const Pack::Raw a = load_groups(twins);
  const Pack::Raw b = load_groups([&](int s) { return twins(s + 2); });
  out[0].v = shuffle_groups<0, 0, 2, 0b1100>(a, b);
  out[1].v = shuffle_groups<1, 0, 2, 0b1100>(a, b);
#else
  for (int i = 0; i < 2; ++i) out[i] = gather_ones(base + i, at);
#endif
}

// out[i] = base[row * Stride + i], i < Count, for each sample of the pack.
template <int Count, int Stride>
FIELDS_HD void gather(const float* base, PackInt rows, Pack (&out)[Count]) {
  const PackInt offset = rows * splat_int<PackInt>(Stride);
  if constexpr (Count == 1) {
    alignas(64) uint32_t at[kWidth];
    store_int(at, offset);
    out[0] = gather_ones(base, at);
  } else if constexpr (Count == 2) {
    gather_twins(base, offset, out);
  } else {
#pragma GCC unroll 4
    for (int i = 0; i < Count; i += 4) {
      Pack quad[4];
      gather_quads(base + i, offset, quad);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) out[i + j] = quad[j];
    }
  }
}

// [Count] packs -> the values of a sample side by side, sample after sample.
template <int Count>
FIELDS_HD void store_interleaved(const Pack (&values)[Count], float* out) {
  Pack lanes[Count];
#pragma GCC unroll 8
  for (int i = 0; i < Count; ++i) lanes[i] = values[i];
#pragma GCC unroll 3
  for (int block = 1; block < Count; block *= 2) {
    Pack next[Count];
#pragma GCC unroll 4
    for (int i = 0; i < Count / 2; ++i) {
      next[2 * i] = interleave_low(lanes[i], lanes[i + Count / 2]);
      next[2 * i + 1] = interleave_high(lanes[i], lanes[i + Count / 2]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < Count; ++i) lanes[i] = next[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < Count; ++i) store<Pack>(out + i * kWidth, lanes[i]);
}

}  // namespace detail

// out[f] = base[row * F + f]
template <int F>
FIELDS_HD void gather_rows(const float* base, PackInt rows, Pack (&out)[F]) {
  detail::gather<F, F>(base, rows, out);
}
template <int F>
FIELDS_HD void gather_rows(const double* base, uint32_t row, double (&out)[F]) {
  for (int f = 0; f < F; ++f) out[f] = base[size_t(row) * F + f];
}
// The same of row and, behind it, of row + 1.
template <int F>
FIELDS_HD void gather_row_pairs(const float* base, PackInt rows, Pack (&out)[2 * F]) {
  detail::gather<2 * F, F>(base, rows, out);
}

// base[at] of whole numbers.
FIELDS_HD PackInt gather_int(const int32_t* base, PackInt at) {
#if defined(__AVX512F__)
  return {(PackInt::Raw)_mm512_i32gather_epi32((__m512i)at.v, base, 4)};
#elif defined(__AVX2__)
  return {(PackInt::Raw)_mm256_i32gather_epi32(base, (__m256i)at.v, 4)};
#else
  PackInt out;
  for (int i = 0; i < kWidth; ++i) out.v[i] = static_cast<uint32_t>(base[at.v[i]]);
  return out;
#endif
}

// base[at] and base[at + 1] of bytes, as numbers; reads four bytes, at places below 2^31.
FIELDS_HD void gather_byte_pair(const uint8_t* base, PackInt at, Pack& first, Pack& second) {
  PackInt four;
#if defined(__AVX512F__)
  four.v = (PackInt::Raw)_mm512_i32gather_epi32((__m512i)at.v, base, 1);
#elif defined(__AVX2__)
  four.v = (PackInt::Raw)_mm256_i32gather_epi32((const int*)base, (__m256i)at.v, 1);
#else
  for (int i = 0; i < kWidth; ++i) {
    four.v[i] = base[at.v[i]] | uint32_t(base[at.v[i] + 1]) << 8;
  }
#endif
  const PackInt byte = splat_int<PackInt>(0xff);
  first = to_real<Pack>(four & byte);
  second = to_real<Pack>((four >> 8) & byte);
}

// Asks the cache for base[at] where `wanted`.
FIELDS_HD void fetch_bytes(const uint8_t* base, PackInt at, PackMask wanted) {
  alignas(64) uint32_t places[kWidth];
  store_int(places, at);
  for (uint32_t left = bits(wanted); left; left &= left - 1) {
    __builtin_prefetch(base + places[__builtin_ctz(left)]);
  }
}

// A byte for each lane, as numbers.
FIELDS_HD Pack load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {(Pack::Raw)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes))};
#elif defined(__AVX2__)
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return {(Pack::Raw)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))};
#else
  Pack out;
  for (int i = 0; i < kWidth; ++i) out.v[i] = p[i];
  return out;
#endif
}

// Adds `Count` values for each corner of a pack of cells to rows of F numbers (to a row, or with
// Count = 2 F to a row and the next). All corners of one sample come before the next
// sample: they are different rows, so successive additions do not wait for one another, as they
// would where neighbouring samples share a row (59 against 89 ns a sample, 16 levels x 2).
template <int Corners, int Count, int F, class V>
class RowScatter {
 public:
  using S = ScalarOf<V>;
  static constexpr int width = Lane<V>::width;

  FIELDS_HD void set(int corner, IntOf<V> rows, const V (&values)[Count]) {
    store_int(rows_[corner], rows);
    if constexpr (width > 1) {
      detail::store_interleaved<Count>(values, values_[corner]);
    } else {
      for (int i = 0; i < Count; ++i) values_[corner][i] = values[i];
    }
  }

  FIELDS_HD void add_to(S* base) const {
    typedef S Values __attribute__((vector_size(sizeof(S) * Count)));
    for (int i = 0; i < width; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < Corners; ++c) {
        S* target = base + size_t(rows_[c][i]) * F;
        if constexpr (Count == 1) {
          *target += values_[c][i];
        } else {
          Values sum, add;
          std::memcpy(&sum, target, sizeof(Values));
          std::memcpy(&add, values_[c] + i * Count, sizeof(Values));
          sum += add;
          std::memcpy(target, &sum, sizeof(Values));
        }
      }
    }
  }

  // flags[row * F / Floats] = 1
  template <int Floats>
  FIELDS_HD void raise_flags(uint8_t* flags) const {
    for (int c = 0; c < Corners; ++c) {
      for (int i = 0; i < width; ++i) {
        flags[size_t(rows_[c][i]) * F / Floats] = 1;
        if constexpr (Count > F) flags[(size_t(rows_[c][i]) + 1) * F / Floats] = 1;
      }
    }
  }

 private:
  alignas(64) uint32_t rows_[Corners][width];
  alignas(64) S values_[Corners][width * Count];
};

namespace detail {

// A square of one pack's width, transposed by rounds of interleaving.
FIELDS_HD void transpose_square(const float* in, size_t in_stride, float* out, size_t out_stride) {
  Pack row[kWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) row[i] = load<Pack>(in + i * in_stride);
#pragma GCC unroll 4
  for (int round = 1; round < kWidth; round *= 2) {
    Pack next[kWidth];
#pragma GCC unroll 8
    for (int i = 0; i < kWidth / 2; ++i) {
      next[2 * i] = interleave_low(row[i], row[i + kWidth / 2]);
      next[2 * i + 1] = interleave_high(row[i], row[i + kWidth / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) row[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) store<Pack>(out + i * out_stride, row[i]);
}

}  // namespace detail

// out[c][r] = in[r][c]
template <class T>
inline void transpose(const T* in, size_t in_stride, T* out, size_t out_stride, int rows,
                      int columns) {
  int whole_rows = 0, whole_columns = 0;
  if constexpr (std::is_same_v<T, float>) {
    whole_rows = rows / kWidth * kWidth;
    whole_columns = columns / kWidth * kWidth;
    for (int r = 0; r < whole_rows; r += kWidth) {
      for (int c = 0; c < whole_columns; c += kWidth) {
        detail::transpose_square(in + r * in_stride + c, in_stride, out + c * out_stride + r,
                                 out_stride);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
      out[c * out_stride + r] = in[r * in_stride + c];
    }
  }
}

}  // namespace fields
