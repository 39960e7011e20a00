// Stratified choice of pixels. Stratum i of n holds pixels [i P / n, (i + 1) P / n) of the P of the
// picture in memory order; a step draws one of each, independently of other steps. (A walk through
// each stratum that avoids repetition was tried: its rhythm upset Adam, and fits diverged.)
#pragma once

#include "random.h"

namespace fields {

struct PixelSampler {
  uint64_t pixels;
  uint64_t stride;  // P / n in 32.32 fixed point
  uint32_t key;     // of seed and step
};

FIELDS_HD PixelSampler make_pixel_sampler(int64_t pixels, int64_t count, int64_t seed,
                                          int64_t step) {
  return {static_cast<uint64_t>(pixels),
          (static_cast<uint64_t>(pixels) << 32) / static_cast<uint64_t>(count),
          mix(mix(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)),
              static_cast<uint32_t>(step))};
}

// Index of the i-th pixel of this step's batch.
FIELDS_HD uint64_t stratified_pixel(const PixelSampler& sampler, uint32_t i) {
  const uint64_t u = mix(sampler.key, i);
  // (i + u / 2^32) stride, in 32.32 fixed point: the stratum may be wider than 2^32 / stride, so
  // the product is split.
  const uint64_t whole = (sampler.stride >> 32) * u;
  const uint64_t part = ((sampler.stride & 0xffffffffu) * u) >> 32;
  const uint64_t index = (i * sampler.stride + whole + part) >> 32;
  return index < sampler.pixels ? index : sampler.pixels - 1;
}

}  // namespace fields
