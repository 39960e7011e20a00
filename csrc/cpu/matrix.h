// Register-blocked products over a tile of samples.
//
// A tile is kTile samples; a tile matrix is [rows][kTile], samples across lanes. Weights are packed
// once a call into blocks of kBlockRows rows, so that the inner loop reads them in order and
// broadcasts each to a register. A prototype of the product alone reached, on Zen 4 with
// AVX-512, 95 % of the FMA peak with blocks of 8 rows x 2 packs and 76 % with 4 x 4.
#pragma once

#include <type_traits>

#include "cpu/memory.h"

namespace fields {

constexpr int kTile = 64;

template <class V>
struct Block;
// 16 accumulators of 32 registers.
#if defined(__AVX512F__)
template <>
struct Block<Pack> {
  static constexpr int rows = 8, packs = 2;
};
#else
// 16 registers in all: 12 accumulators, 2 packs, 1 weight.
template <>
struct Block<Pack> {
  static constexpr int rows = 6, packs = 2;
};
#endif
template <>
struct Block<double> {
  static constexpr int rows = 4, packs = 2;
};

// Weight (row, k) of a block at a[row * RowStride + k * KStride]; RowStride 1 with KStride 0 stands
// for packed blocks, whose k stride is the block's own height.
template <class V, int Rows, int Packs, int RowStride, int KStride, class Epilogue>
FIELDS_HD void multiply_block(const ScalarOf<V>* a, const ScalarOf<V>* b, int b_stride, int depth,
                              int row, int column, const Epilogue& epilogue) {
  constexpr int width = Lane<V>::width;
  constexpr int k_stride = KStride ? KStride : Rows;
  V sum[Rows][Packs];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) sum[i][j] = splat<V>(0);
#pragma GCC unroll 2
  for (int k = 0; k < depth; ++k) {
    V right[Packs];
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) right[j] = load<V>(b + size_t(k) * b_stride + j * width);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const V left = splat<V>(a[i * RowStride + k * k_stride]);
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) sum[i][j] = fma(left, right[j], sum[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) epilogue(row + i, column + j * width, sum[i][j]);
}

namespace detail {
template <class V, int Packs, int RowStride, int KStride, class Epilogue, int Rows>
inline void multiply_rows(int rows, const ScalarOf<V>* a, const ScalarOf<V>* b, int b_stride,
                          int depth, int row, int column, const Epilogue& epilogue,
                          std::integral_constant<int, Rows>) {
  if (rows == Rows) {
    multiply_block<V, Rows, Packs, RowStride, KStride>(a, b, b_stride, depth, row, column,
                                                       epilogue);
  } else if constexpr (Rows > 1) {
    multiply_rows<V, Packs, RowStride, KStride>(rows, a, b, b_stride, depth, row, column, epilogue,
                                                std::integral_constant<int, Rows - 1>{});
  }
}
}  // namespace detail

// C[rows][columns] = A B; `epilogue(row, column, pack)` receives each pack of C.
// columns must be a multiple of the pack's width.
template <class V, int RowStride, int KStride, class Epilogue>
inline void multiply(const ScalarOf<V>* a, const ScalarOf<V>* b, int b_stride, int rows, int depth,
                     int columns, const Epilogue& epilogue) {
  constexpr int width = Lane<V>::width;
  constexpr int block = Block<V>::rows;
  constexpr int packs = Block<V>::packs;
  int column = 0;
  const auto sweep = [&](auto packs_constant) {
    constexpr int P = decltype(packs_constant)::value;
    for (int row = 0; row < rows; row += block) {
      const int height = rows - row < block ? rows - row : block;
      const ScalarOf<V>* left = KStride ? a + size_t(row) * RowStride : a + size_t(row) * depth;
      detail::multiply_rows<V, P, RowStride, KStride>(height, left, b + column, b_stride, depth,
                                                      row, column, epilogue,
                                                      std::integral_constant<int, block>{});
    }
  };
  for (; column + packs * width <= columns; column += packs * width) {
    sweep(std::integral_constant<int, packs>{});
  }
  for (; column < columns; column += width) sweep(std::integral_constant<int, 1>{});
}

// Packs scale * W [rows][depth] (element (r, k) at w[r * row_stride + k * k_stride]) into blocks.
template <class V>
inline void pack_blocks(const ScalarOf<V>* w, int64_t row_stride, int64_t k_stride, int rows,
                        int depth, ScalarOf<V>* packed, ScalarOf<V> scale = ScalarOf<V>(1)) {
  constexpr int block = Block<V>::rows;
  for (int row = 0; row < rows; row += block) {
    const int height = rows - row < block ? rows - row : block;
    for (int k = 0; k < depth; ++k) {
      for (int i = 0; i < height; ++i) {
        *packed++ = scale * w[(row + i) * row_stride + k * k_stride];
      }
    }
  }
}

}  // namespace fields
