// Products of bf16 pairs with float32 sums, for processors with AVX512_BF16.
//
// vdpbf16ps multiplies two pairs and adds both products to a float, so operands are kept as pairs,
// 32 bits each, the first of a pair in the low half:
//   "row pairs"    [rows / 2][kTile]   rows 2r and 2r + 1 of a tile matrix
//   "sample pairs" [rows][kTile / 2]   samples 2s and 2s + 1 of a row
// Odd numbers of rows are padded with a zero row.
#pragma once

#include "cpu/matrix.h"

namespace fields {

namespace bf16 {

using Pair = uint32_t;

// (low, high) of each lane, rounded to nearest even.
FIELDS_HD __m512i to_pairs(__m512 low, __m512 high) {
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

inline uint16_t round_scalar(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// C += A B over pairs of the inner dimension; see matrix.h. The epilogue takes two rows at once:
// epilogue(row, column, sum of row, sum of row + 1), the second undefined for a last odd row.
template <int Rows, int Packs, int RowStride, int KStride, class Epilogue>
FIELDS_HD void multiply_block(const Pair* a, const Pair* b, int b_stride, int depth, int row,
                              int column, const Epilogue& epilogue) {
  constexpr int k_stride = KStride ? KStride : Rows;
  __m512 sum[Rows + 1][Packs];
#pragma GCC unroll 16
  for (int i = 0; i <= Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) sum[i][j] = _mm512_setzero_ps();
#pragma GCC unroll 2
  for (int k = 0; k < depth; ++k) {
    __m512bh right[Packs];
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) {
      right[j] = (__m512bh)_mm512_loadu_si512(b + size_t(k) * b_stride + j * kWidth);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const __m512bh left = (__m512bh)_mm512_set1_epi32(a[i * RowStride + k * k_stride]);
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; i += 2)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) {
      epilogue(row + i, column + j * kWidth, sum[i][j], sum[i + 1][j]);
    }
}

constexpr int kBlock = 8;

template <int Packs, int RowStride, int KStride, class Epilogue, int Rows>
inline void multiply_rows(int rows, const Pair* a, const Pair* b, int b_stride, int depth, int row,
                          int column, const Epilogue& epilogue, std::integral_constant<int, Rows>) {
  if (rows == Rows) {
    multiply_block<Rows, Packs, RowStride, KStride>(a, b, b_stride, depth, row, column, epilogue);
  } else if constexpr (Rows > 1) {
    multiply_rows<Packs, RowStride, KStride>(rows, a, b, b_stride, depth, row, column, epilogue,
                                             std::integral_constant<int, Rows - 1>{});
  }
}

template <int RowStride, int KStride, class Epilogue>
inline void multiply(const Pair* a, const Pair* b, int b_stride, int rows, int depth, int columns,
                     const Epilogue& epilogue) {
  int column = 0;
  const auto sweep = [&](auto packs_constant) {
    constexpr int P = decltype(packs_constant)::value;
    for (int row = 0; row < rows; row += kBlock) {
      const int height = std::min(kBlock, rows - row);
      const Pair* left = KStride ? a + size_t(row) * RowStride : a + size_t(row) * depth;
      multiply_rows<P, RowStride, KStride>(height, left, b + column, b_stride, depth, row, column,
                                           epilogue, std::integral_constant<int, kBlock>{});
    }
  };
  for (; column + 2 * kWidth <= columns; column += 2 * kWidth) {
    sweep(std::integral_constant<int, 2>{});
  }
  for (; column < columns; column += kWidth) sweep(std::integral_constant<int, 1>{});
}

inline int pairs(int rows) { return (rows + 1) / 2; }

// scale * W [rows][depth], element (r, k) at w[r * row_stride + k * k_stride], as blocks of pairs
// along k.
inline void pack_blocks(const float* w, int64_t row_stride, int64_t k_stride, int rows, int depth,
                        Pair* packed, float scale) {
  for (int row = 0; row < rows; row += kBlock) {
    const int height = std::min(kBlock, rows - row);
    for (int k = 0; k < depth; k += 2) {
      for (int i = 0; i < height; ++i) {
        const float* at = w + (row + i) * row_stride + k * k_stride;
        const Pair high = k + 1 < depth ? round_scalar(scale * at[k_stride]) : 0;
        *packed++ = round_scalar(scale * *at) | high << 16;
      }
    }
  }
}

// Float rows [rows][kTile] -> row pairs.
inline void to_row_pairs(const float* x, int rows, Pair* out) {
  for (int r = 0; r < rows; r += 2) {
    for (int s = 0; s < kTile; s += kWidth) {
      const __m512 low = _mm512_loadu_ps(x + r * kTile + s);
      const __m512 high =
          r + 1 < rows ? _mm512_loadu_ps(x + (r + 1) * kTile + s) : _mm512_setzero_ps();
      _mm512_storeu_si512(out + r / 2 * kTile + s, to_pairs(low, high));
    }
  }
}

// Row pairs -> sample pairs, row by row: the left operand of a weight gradient.
inline void to_sample_pairs(const Pair* in, int rows, Pair* out) {
  const __m512i low_halves =
      _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                       24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i high_halves = _mm512_add_epi16(low_halves, _mm512_set1_epi16(1));
  for (int r = 0; r < rows; r += 2) {
    for (int s = 0; s < kTile; s += 2 * kWidth) {
      const __m512i a = _mm512_loadu_si512(in + r / 2 * kTile + s);
      const __m512i b = _mm512_loadu_si512(in + r / 2 * kTile + s + kWidth);
      Pair* row = out + r * (kTile / 2) + s / 2;
      _mm512_storeu_si512(row, _mm512_permutex2var_epi16(a, low_halves, b));
      if (r + 1 < rows) {
        _mm512_storeu_si512(row + kTile / 2, _mm512_permutex2var_epi16(a, high_halves, b));
      }
    }
  }
}

// Row pairs [rows / 2][kTile] -> [kTile / 2][stride]: pairs of samples, a row's numbers side by
// side; the right operand of a weight gradient. stride is a multiple of 2 packs; scratch holds
// [kTile][stride / 2].
inline void transpose_pairs(const Pair* in, int row_pairs, int stride, Pair* scratch, Pair* out) {
  transpose(reinterpret_cast<const float*>(in), kTile, reinterpret_cast<float*>(scratch),
            stride / 2, row_pairs, kTile);
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  for (int s = 0; s < kTile; s += 2) {
    for (int j = 0; j < stride / 2; j += kWidth) {
      const __m512i a = _mm512_loadu_si512(scratch + s * (stride / 2) + j);
      const __m512i b = _mm512_loadu_si512(scratch + (s + 1) * (stride / 2) + j);
      const __m512i even = _mm512_or_si512(_mm512_andnot_si512(high, a), _mm512_slli_epi32(b, 16));
      const __m512i odd = _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_and_si512(b, high));
      Pair* row = out + s / 2 * stride + 2 * j;
      _mm512_storeu_si512(row, _mm512_permutex2var_epi32(even, first, odd));
      _mm512_storeu_si512(row + kWidth, _mm512_permutex2var_epi32(even, second, odd));
    }
  }
}

}  // namespace bf16

}  // namespace fields
