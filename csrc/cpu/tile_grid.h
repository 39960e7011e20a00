// Batches cut into tiles, and the hash grid over runs of tiles.
//
// A batch in tile form is [tiles][rows][kTile]; the last tile is padded with zeros.
#pragma once

#include "cpu/grid_kernels.h"

namespace fields {

inline int64_t num_tiles(int64_t samples) { return (samples + kTile - 1) / kTile; }

// Groups of tiles that sum MLP gradients apart; a function of the batch alone.
inline int64_t num_groups(int64_t tiles) {
  return std::max<int64_t>(1, std::min<int64_t>(tiles / 4, 64));
}

inline int tile_samples(int64_t samples, int64_t tile) {
  return static_cast<int>(std::min<int64_t>(kTile, samples - tile * kTile));
}

// matrix [samples][columns], row major -> one tile [columns][kTile]
template <class S>
inline void load_tile(const S* matrix, int64_t samples, int columns, int64_t tile, S* out) {
  const int count = tile_samples(samples, tile);
  transpose(matrix + tile * kTile * columns, columns, out, kTile, count, columns);
  if (count == kTile) return;
  for (int c = 0; c < columns; ++c) {
    for (int s = count; s < kTile; ++s) out[c * kTile + s] = S(0);
  }
}

// One tile [columns][kTile] -> its rows of matrix [samples][columns]
template <class S>
inline void store_tile(const S* in, int64_t samples, int columns, int64_t tile, S* matrix) {
  transpose(in, kTile, matrix + tile * kTile * columns, columns, columns,
            tile_samples(samples, tile));
}

// As load_tile, clamped to the unit cube. NaN becomes 0: rows of the table stay in bounds whatever
// the caller passes.
template <class S>
inline void load_coords_tile(const S* coords, int64_t samples, int dim, int64_t tile, S* out) {
  load_tile(coords, samples, dim, tile, out);
  for (int i = 0; i < dim * kTile; ++i) out[i] = min(max(out[i], S(0)), S(1));
}

// The hash grid bound to a table: what a kernel needs to encode.
template <class S>
struct GridTable {
  Grid grid;
  GridKernels<S> kernels;
  int dim;
  int features;
  const S* table;

  GridTable(const Grid& grid, int dim, int features, const S* table)
      : grid(grid),
        kernels(grid_kernels<S>(dim, features)),
        dim(dim),
        features(features),
        table(table) {}

  int outputs() const { return grid.num_levels * features; }
  const S* level_table(int l) const { return table + grid.level[l].offset * features; }

  // Levels outermost: a level's rows stay in cache over the whole run of tiles.
  void encode(const S* x, int tiles, S* encoded) const {
    for (int l = 0; l < grid.num_levels; ++l) {
      for (int t = 0; t < tiles; ++t) {
        kernels.encode(grid.level[l], grid.smoothstep, level_table(l), x + size_t(t) * dim * kTile,
                       encoded + (size_t(t) * outputs() + l * features) * kTile);
      }
    }
  }

  // The same of tiles that lie anywhere: coords(t) to encoded(t). Rows of large levels are fetched
  // a tile ahead.
  template <class Coords, class Encoded>
  void encode_each(int64_t tiles, const Coords& coords, const Encoded& encoded) const {
    for (int l = 0; l < grid.num_levels; ++l) {
      const GridLevel& level = grid.level[l];
      const S* rows = level_table(l);
      const bool far = int64_t(level.rows) * features > 65536;
      if (far && tiles) kernels.fetch(level, rows, coords(0));
      for (int64_t t = 0; t < tiles; ++t) {
        if (far && t + 1 < tiles) kernels.fetch(level, rows, coords(t + 1));
        kernels.encode(level, grid.smoothstep, rows, coords(t), encoded(t) + l * features * kTile);
      }
    }
  }
};

}  // namespace fields
