// Rays and occupancy as tensors: what the ops that march share, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/march.h"

namespace fields {

// The rule of marching, in the order of the schema.
#define MARCH_RULE                                                                \
  int64_t resolution, double near, double far, double step_length, double growth, \
      double largest_step, bool contract
#define MARCH_ARGUMENTS resolution, near, far, step_length, growth, largest_step, contract

inline MarchRule checked_rule(MARCH_RULE) {
  STD_TORCH_CHECK(resolution >= kLeastResolution && resolution <= kMostResolution &&
                      (resolution & (resolution - 1)) == 0,
                  "resolution must be a power of two");
  STD_TORCH_CHECK(near >= 0 && far > near && far < 1e9, "near and far out of range");
  STD_TORCH_CHECK(step_length > 1e-6 && largest_step >= step_length && growth >= 0,
                  "steps out of range");
  return {static_cast<float>(near),
          static_cast<float>(far),
          static_cast<float>(step_length),
          static_cast<float>(growth),
          growth > 0 ? static_cast<float>(largest_step) : static_cast<float>(step_length),
          contract};
}

inline Occupancy checked_occupancy(const Tensor& bits, int64_t resolution, bool contract) {
  STD_TORCH_CHECK(bits.dim() == 2 && bits.size(1) == occupancy_words(static_cast<int>(resolution)),
                  "bits must be [cascades, words of the resolution]");
  STD_TORCH_CHECK(bits.size(0) >= 1 && bits.size(0) <= 16 && (bits.size(0) == 1 || !contract),
                  "number of cascades out of range");
  return {reinterpret_cast<const uint64_t*>(read<int64_t>(bits)), static_cast<int>(resolution),
          static_cast<int>(bits.size(0)), bits.size(1)};
}

// Number of rays.
inline int64_t checked_rays(const Tensor& origins, const Tensor& directions) {
  STD_TORCH_CHECK(origins.dim() == 2 && origins.size(1) == 3 && directions.dim() == 2 &&
                      directions.size(1) == 3 && origins.size(0) == directions.size(0),
                  "origins and directions must be [R, 3]");
  STD_TORCH_CHECK(origins.size(0) < (int64_t(1) << 31), "too many rays");
  return origins.size(0);
}

// A batch of rays, of which each begins at a random place of its first step, or in its middle.
struct RayBatch {
  const float *origins, *directions;  // [rays][3]
  int64_t rays;
  uint32_t key;
  bool jitter;

  FIELDS_HD float offset(int64_t ray) const {
    return jitter ? march_offset(key, static_cast<uint32_t>(ray)) : 0.5f;
  }
  FIELDS_HD RayWalk<float> begin(const MarchRule& rule, int64_t ray) const {
    const float *o = origins + 3 * ray, *d = directions + 3 * ray;
    const float origin[3] = {o[0], o[1], o[2]}, direction[3] = {d[0], d[1], d[2]};
    return begin_walk<float>(rule, origin, direction, offset(ray));
  }
};

}  // namespace fields
