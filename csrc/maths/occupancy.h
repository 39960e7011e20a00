// Where a field may have density: one bit for each cell of a grid over the unit cube, and of
// smaller cubes around its centre (Mueller et al. 2022, appendix E.2).
//
// Cascade c of C covers the cube of side 2^(c + 1 - C) around the centre, with resolution^3 cells.
// Its bits are a pyramid. On the lowest level a 64-bit word holds a brick of 4^3 cells, x running
// fastest in the word and among the words; a bit of the next level says whether a word is not 0,
// and so on up to one word, or as far as a level has 4 bits an axis. So an empty word is an empty
// block of 4, 16, 64... cells, which is crossed in one step. A cell is set where one is that it
// contains of the finer cascade: blocks may be crossed whatever lies within them.
#pragma once

#include "lane.h"

namespace fields {

constexpr int kLeastResolution = 4, kMostResolution = 512;  // and powers of two

struct Occupancy {
  const uint64_t* words;  // [cascades][occupancy_words(resolution)]
  int resolution;
  int cascades;
  int64_t stride;  // words of a cascade
};

// Words of one cascade.
FIELDS_HD int64_t occupancy_words(int resolution) {
  int64_t words = 0;
  for (int n = resolution; n >= 4; n /= 4) words += int64_t(n / 4) * (n / 4) * (n / 4);
  return words;
}

struct CellBit {
  uint32_t word;
  uint32_t bit;
};

// Of cell (x, y, z) on a level of n^3 bits.
FIELDS_HD CellBit cell_bit(uint32_t n, uint32_t x, uint32_t y, uint32_t z) {
  const uint32_t bricks = n / 4;
  return {((z / 4) * bricks + y / 4) * bricks + x / 4, (z % 4) * 16 + (y % 4) * 4 + x % 4};
}

// log2 of the side, in cells, of the largest empty block of the pyramid that holds a cell; -1 where
// the cell is set.
FIELDS_HD int empty_block_log2(const Occupancy& occupancy, uint32_t cascade, uint32_t x, uint32_t y,
                               uint32_t z) {
  const uint64_t* words = occupancy.words + cascade * occupancy.stride;
  uint32_t n = static_cast<uint32_t>(occupancy.resolution);
  CellBit at = cell_bit(n, x, y, z);
  uint64_t word = words[at.word];
  if (word >> at.bit & 1) return -1;
  int log2_side = 0;
  while (word == 0) {
    log2_side += 2;
    const uint32_t bricks = n / 4;
    if (bricks < 4) break;
    words += bricks * bricks * bricks;
    n = bricks;
    x /= 4, y /= 4, z /= 4;
    word = words[cell_bit(n, x, y, z).word];
  }
  return log2_side;
}

// One cell's density at an update: what was there fades, what was found stays. Negative marks cells
// that no camera sees: they stay empty.
FIELDS_HD float decayed_density(float density, float found, float decay) {
  return density < 0.0f ? density : max(density * decay, found);
}

// Whether one of the eight finer cells within cell (x, y, z) is set; `finer` is the pyramid of the
// next finer cascade, which covers the middle half of each axis.
FIELDS_HD bool holds_finer(const uint64_t* finer, uint32_t n, uint32_t x, uint32_t y, uint32_t z) {
  const uint32_t quarter = n / 4, half = n / 2;
  x -= quarter, y -= quarter, z -= quarter;  // wraps around below
  if (x >= half || y >= half || z >= half) return false;
  for (uint32_t corner = 0; corner < 8; ++corner) {
    const CellBit at = cell_bit(n, 2 * x + corner % 2, 2 * y + corner / 2 % 2, 2 * z + corner / 4);
    if (finer[at.word] >> at.bit & 1) return true;
  }
  return false;
}

// Word number `index` of a level of n^3 bits, the bit of cell (x, y, z) being is_set(x, y, z).
template <class IsSet>
FIELDS_HD uint64_t brick_word(uint32_t n, uint32_t index, const IsSet& is_set) {
  const uint32_t bricks = n / 4;
  const uint32_t x = 4 * (index % bricks), y = 4 * (index / bricks % bricks);
  const uint32_t z = 4 * (index / (bricks * bricks));
  uint64_t word = 0;
  for (uint32_t i = 0; i < 64; ++i) {
    if (is_set(x + i % 4, y + i / 4 % 4, z + i / 16)) word |= uint64_t(1) << i;
  }
  return word;
}

// Word number `index` of the lowest level of a cascade with densities [z][y][x]; `finer` as in
// holds_finer, or null.
FIELDS_HD uint64_t cell_word(const float* density, uint32_t n, uint32_t index, float threshold,
                             const uint64_t* finer) {
  return brick_word(n, index, [=](uint32_t x, uint32_t y, uint32_t z) {
    return density[(int64_t(z) * n + y) * n + x] > threshold ||
           (finer && holds_finer(finer, n, x, y, z));
  });
}

// Word number `index` of a level of n^3 bits above the words of the level below.
FIELDS_HD uint64_t level_word(const uint64_t* below, uint32_t n, uint32_t index) {
  return brick_word(n, index, [=](uint32_t x, uint32_t y, uint32_t z) {
    return below[(int64_t(z) * n + y) * n + x] != 0;
  });
}

}  // namespace fields
