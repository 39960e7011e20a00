// Rays, in the coordinates of the unit cube.
#pragma once

#include "lane.h"

namespace fields {

struct Ray {
  float origin[3];
  float direction[3];
  float inverse[3];  // 1 / direction, finite
};

FIELDS_HD Ray make_ray(const float* origin, const float* direction) {
  Ray ray;
  for (int d = 0; d < 3; ++d) {
    ray.origin[d] = origin[d];
    ray.direction[d] = direction[d];
    // So large that planes across a direction of zero are out of reach, but 0 times it is 0.
    const bool flat = max(direction[d], -direction[d]) < 1e-12f;
    ray.inverse[d] = flat ? 1e12f : 1.0f / direction[d];
  }
  return ray;
}

// Narrows [near, far] to the part of the ray within [0, 1]^3; near >= far where there is none.
FIELDS_HD void clip_to_cube(const Ray& ray, float& near, float& far) {
  for (int d = 0; d < 3; ++d) {
    const float low = (0.0f - ray.origin[d]) * ray.inverse[d];
    const float high = (1.0f - ray.origin[d]) * ray.inverse[d];
    near = max(min(low, high), near);
    far = min(max(low, high), far);
  }
}

}  // namespace fields
