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

// The columns of a product over a whole tile.
using TileColumns = std::integral_constant<int, kTile>;

// The rows of a matrix, block after block from the top, as body(row, height): whole blocks, and
// what is left as a few lower ones.
template <int Block, class Body>
inline void for_row_blocks(int rows, const Body& body) {
  int row = 0;
  const auto take = [&](auto height) {
    for (; row + height <= rows; row += height) body(row, height);
  };
  take(std::integral_constant<int, Block>{});
  if constexpr (Block > 4) take(std::integral_constant<int, 4>{});
  if constexpr (Block > 3) take(std::integral_constant<int, 3>{});
  take(std::integral_constant<int, 2>{});
  take(std::integral_constant<int, 1>{});
}

// C[rows][columns] = A B; `epilogue(row, column, pack)` receives each pack of C.
// columns must be a multiple of the pack's width; TileColumns where they are those of a tile.
// A block of rows meets all columns before the next: its weights stay in L1.
template <class V, int RowStride, int KStride, class Columns, class Epilogue>
inline void multiply(const ScalarOf<V>* a, const ScalarOf<V>* b, int b_stride, int rows, int depth,
                     Columns columns, const Epilogue& epilogue) {
  constexpr int width = Lane<V>::width;
  constexpr int packs = Block<V>::packs;
  for_row_blocks<Block<V>::rows>(rows, [&](int row, auto height) {
    constexpr int Rows = decltype(height)::value;
    const ScalarOf<V>* left = a + size_t(row) * (KStride ? RowStride : depth);
    int column = 0;
    for (; column + packs * width <= columns; column += packs * width) {
      multiply_block<V, Rows, packs, RowStride, KStride>(left, b + column, b_stride, depth, row,
                                                         column, epilogue);
    }
    if constexpr (!std::is_same_v<Columns, TileColumns> || kTile % (packs * width) != 0) {
      for (; column < columns; column += width) {
        multiply_block<V, Rows, 1, RowStride, KStride>(left, b + column, b_stride, depth, row,
                                                       column, epilogue);
      }
    }
  });
}

// Packs scale * W [rows][depth] (element (r, k) at w[r * row_stride + k * k_stride]) into blocks.
template <class V>
inline void pack_blocks(const ScalarOf<V>* w, int64_t row_stride, int64_t k_stride, int rows,
                        int depth, ScalarOf<V>* packed, ScalarOf<V> scale = ScalarOf<V>(1)) {
  for_row_blocks<Block<V>::rows>(rows, [&](int row, int height) {
    for (int k = 0; k < depth; ++k) {
      for (int i = 0; i < height; ++i) {
        *packed++ = scale * w[(row + i) * row_stride + k * k_stride];
      }
    }
  });
}

}  // namespace fields
