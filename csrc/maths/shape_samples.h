// Points to learn a shape from: on its surface by area and a little off it, near it, and anywhere
// in the unit cube. All are stratified, along the faces in the order of leaves and along a Morton
// curve through the cube: a batch is spread evenly, and samples that follow one another are near
// one another, so a search finds in cache what the one before it has read.
#pragma once

#include "bvh.h"
#include "random.h"

namespace fields {

enum Sign { kUnsigned = 0, kPseudonormal = 1, kWinding = 2 };

struct ShapeSampler {
  int64_t surface;  // samples of a batch on the surface
  int64_t near;     // near it, in turn with those
  int64_t uniform;  // and anywhere, after them
  float jitter;     // standard deviation of surface samples, in unit cubes
  float sigma;      // of near ones
  uint32_t key;     // of seed and step
};

struct Sample {
  float point[3];
  int leaf;  // to begin a search with
};

FIELDS_HD ShapeSampler make_shape_sampler(int64_t surface, int64_t near, int64_t uniform,
                                          double jitter, double sigma, int64_t seed, int64_t step) {
  const uint32_t key = mix(mix(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)),
                           static_cast<uint32_t>(step));
  return {surface, near, uniform, static_cast<float>(jitter), static_cast<float>(sigma), key};
}

// Random numbers of one sample.
class Draws {
 public:
  FIELDS_HD explicit Draws(uint32_t state) : state_(state) {}
  FIELDS_HD uint32_t bits() { return mix(state_ += 0x9e3779b9u); }
  FIELDS_HD float uniform() { return static_cast<float>(bits() >> 8) * 0x1p-24f; }  // in [0, 1)
  // Near enough to a normal distribution of deviation 1: the sum of four uniform numbers,
  // within 3.5 of 0. A logarithm and a cosine took a seventh of the time of a sample.
  FIELDS_HD float bell() {
    const uint32_t a = bits(), b = bits();
    const uint32_t total = (a >> 16) + (a & 0xffffu) + (b >> 16) + (b & 0xffffu);
    return (static_cast<float>(total) - 131070.0f) * 2.6429105e-5f;  // 1 / (65536 / sqrt(3))
  }

 private:
  uint32_t state_;
};

// A place in stratum i of n, in [0, 1).
FIELDS_HD double stratified(int64_t i, int64_t n, Draws& draws) {
  return (static_cast<double>(i) + draws.bits() * 0x1p-32) / static_cast<double>(n);
}

// First leaf whose sum of areas is above `area`, which is not before `from`.
FIELDS_HD int leaf_of_area(const Bvh& bvh, double area, int from) {
  int64_t low = from, high = bvh.leaf_count - 1;
  for (int64_t reach = 1; low + reach < high; reach *= 2) {  // those that follow are near
    if (bvh.area[low + reach] > area) {
      high = low + reach;
      break;
    }
    low += reach + 1;
  }
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (bvh.area[middle] > area) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return static_cast<int>(low);
}

FIELDS_HD Sample surface_sample(const Bvh& bvh, double place, float spread, int from,
                                Draws& draws) {
  Sample sample;
  const double area = place * bvh.area[bvh.leaf_count - 1];
  sample.leaf = leaf_of_area(bvh, area, from);
  const float* areas = bvh.leaves + (int64_t(sample.leaf) * kLeafRows + kAreaRow) * kSixteen;
  const double before = sample.leaf > 0 ? bvh.area[sample.leaf - 1] : 0.0;
  // Below the last sum in spite of rounding, so that a face with an area is found.
  const float rest = min(static_cast<float>(area - before), areas[kSixteen - 1] * 0.9999999f);
  int lane = 0;
  while (lane < kSixteen - 1 && areas[lane] <= rest) ++lane;
  const float* corners = bvh.corners + 9 * int64_t(bvh.first[sample.leaf] + lane);
  float u = draws.uniform(), v = draws.uniform();
  if (u + v > 1) {
    u = 1 - u;
    v = 1 - v;
  }
  for (int d = 0; d < 3; ++d) {
    const float a = corners[d];
    const float on = fma(u, corners[3 + d] - a, fma(v, corners[6 + d] - a, a));
    sample.point[d] = min(max(fma(spread, draws.bell(), on), 0.0f), 1.0f);
  }
  return sample;
}

// Every third bit of a Morton code.
FIELDS_HD uint32_t every_third_bit(uint64_t code) {
  code &= 0x1249249249249249u;
  code = (code | code >> 2) & 0x10c30c30c30c30c3u;
  code = (code | code >> 4) & 0x100f00f00f00f00fu;
  code = (code | code >> 8) & 0x001f0000ff0000ffu;
  code = (code | code >> 16) & 0x001f00000000ffffu;
  return static_cast<uint32_t>(code & 0xffffu);
}

FIELDS_HD Sample uniform_sample(const Bvh& bvh, double place, Draws& draws) {
  const uint64_t code = static_cast<uint64_t>(place * 0x1p48);  // 16 bits an axis
  Sample sample;
  for (int d = 0; d < 3; ++d) {
    const uint32_t cell = every_third_bit(code >> d);
    sample.point[d] = (static_cast<float>(cell) + draws.uniform()) * 0x1p-16f;
  }
  sample.leaf = table_leaf(bvh, sample.point);
  return sample;
}

FIELDS_HD float truncated(float distance, float most) { return min(max(distance, -most), most); }

// Sample i of a batch; `from` is the leaf of one before it, or 0. Those on the surface and those
// near it take turns along the faces, so that a leaf is read once for both.
FIELDS_HD Sample draw_sample(const Bvh& bvh, const ShapeSampler& sampler, int64_t i, int from) {
  Draws draws(mix(sampler.key, static_cast<uint32_t>(i)));
  const int64_t close = sampler.surface + sampler.near;
  if (i >= close) {
    return uniform_sample(bvh, stratified(i - close, sampler.uniform, draws), draws);
  }
  const bool on = (i + 1) * sampler.surface / close > i * sampler.surface / close;
  return surface_sample(bvh, stratified(i, close, draws), on ? sampler.jitter : sampler.sigma, from,
                        draws);
}

}  // namespace fields
