// Pixels of a scene's images drawn by tiles: a tile as often as its weight says, its pixels alike.
#pragma once

#include "camera_rays.h"

namespace fields {

struct TileDraw {
  const double* upto;     // [tiles], weights cumulated up to and with each; or null: no tiles
  int64_t tiles;          // image by image, row by row
  int64_t rows, columns;  // of an image
  int64_t side;           // of a tile in pixels; less where an image ends
  const int64_t* starts;  // [tiles + 1], where in `among` each tile's pixels begin; or null: all
};

// A tile: the first whose cumulated weight is above a part of the sum.
FIELDS_HD int64_t draw_tile(const TileDraw& draw, uint32_t key, uint32_t i) {
  const uint64_t high = mix(key, 2 * i), low = mix(key, 2 * i + 1) >> 16;
  const double part = static_cast<double>(high << 16 | low) * (1.0 / 281474976710656.0);  // 2^-48
  const double wanted = part * draw.upto[draw.tiles - 1];
  int64_t first = 0;
  for (int64_t left = draw.tiles; left > 1;) {
    const int64_t half = left / 2;
    first += draw.upto[first + half - 1] <= wanted ? half : 0;
    left -= half;
  }
  return first;
}

// Any pixel of a tile; `among` [choices] numbers of pixels, tile by tile, or null.
FIELDS_HD int64_t draw_pixel_of(const TileDraw& draw, const SceneImages& images, int64_t tile,
                                const int64_t* among, int64_t choices, uint32_t key, uint32_t i) {
  const uint64_t bits = mix(key + 4u, i);
  if (draw.starts) {
    const int64_t begin = draw.starts[tile], count = draw.starts[tile + 1] - begin;
    const int64_t at = begin + static_cast<int64_t>(bits * static_cast<uint64_t>(count) >> 32);
    return among[at < 0 ? 0 : at < choices ? at : choices - 1];
  }
  const int64_t image = tile / (draw.rows * draw.columns);
  const int64_t within = tile - image * draw.rows * draw.columns;
  const int64_t row = within / draw.columns;
  const int64_t y = row * draw.side, x = (within - row * draw.columns) * draw.side;
  const int64_t down = images.height - y, across = images.width - x;
  const int64_t height = down < draw.side ? down : draw.side;
  const int64_t width = across < draw.side ? across : draw.side;
  const int64_t at = static_cast<int64_t>(bits * static_cast<uint64_t>(height * width) >> 32);
  const int64_t line = at / width;
  return (image * images.height + y + line) * images.width + x + (at - line * width);
}

}  // namespace fields
