// Rays, in the coordinates of the unit cube.
#pragma once

#include "lane.h"

namespace fields {

template <class V>
struct Ray {
  V origin[3];
  V direction[3];
  V inverse[3];  // 1 / direction, finite
};

template <class V>
FIELDS_HD Ray<V> make_ray(const V (&origin)[3], const V (&direction)[3]) {
  using S = ScalarOf<V>;
  Ray<V> ray;
  for (int d = 0; d < 3; ++d) {
    ray.origin[d] = origin[d];
    ray.direction[d] = direction[d];
    // So large that planes across a direction of zero are out of reach, but 0 times it is 0.
    const V size = max(direction[d], -direction[d]);
    const V inverse = splat<V>(S(1)) / direction[d];
    ray.inverse[d] = select(size < splat<V>(S(1e-12)), splat<V>(S(1e12)), inverse);
  }
  return ray;
}

// Narrows [near, far] to the part of the ray within [0, 1]^3; near >= far where there is none.
template <class V>
FIELDS_HD void clip_to_cube(const Ray<V>& ray, V& near, V& far) {
  using S = ScalarOf<V>;
  for (int d = 0; d < 3; ++d) {
    const V low = (splat<V>(S(0)) - ray.origin[d]) * ray.inverse[d];
    const V high = (splat<V>(S(1)) - ray.origin[d]) * ray.inverse[d];
    near = max(min(low, high), near);
    far = min(max(low, high), far);
  }
}

}  // namespace fields
