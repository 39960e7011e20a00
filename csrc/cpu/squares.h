// Which rays a task takes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fields {

// Those of a square of a picture, whose samples share rows of a table, or those that follow one
// another where `width` is 0.
template <int Side>
struct Squares {
  static constexpr int most = Side * Side;  // rays of a square

  int64_t rays, width;

  int64_t across() const { return (width + Side - 1) / Side; }
  int64_t count() const {
    if (!width) return (rays + most - 1) / most;
    return across() * ((rays / width + Side - 1) / Side);
  }
  // Numbers of the square's rays; returns how many.
  int rays_of(int64_t square, int64_t (&numbers)[most]) const {
    int count = 0;
    if (!width) {
      for (int64_t r = square * most; r < std::min(rays, (square + 1) * most); ++r) {
        numbers[count++] = r;
      }
      return count;
    }
    const int64_t x = square % across() * Side, y = square / across() * Side;
    for (int64_t row = y; row < std::min(rays / width, y + Side); ++row) {
      for (int64_t column = x; column < std::min(width, x + Side); ++column) {
        numbers[count++] = row * width + column;
      }
    }
    return count;
  }
};

}  // namespace fields
