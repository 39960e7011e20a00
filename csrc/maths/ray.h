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

// Narrows [near, far] to the part of the ray within a box; near >= far where there is none.
template <class V>
FIELDS_HD void clip_to_box(const Ray<V>& ray, const ScalarOf<V>* low, const ScalarOf<V>* high,
                           V& near, V& far) {
  for (int d = 0; d < 3; ++d) {
    const V first = (splat<V>(low[d]) - ray.origin[d]) * ray.inverse[d];
    const V second = (splat<V>(high[d]) - ray.origin[d]) * ray.inverse[d];
    near = max(min(first, second), near);
    far = min(max(first, second), far);
  }
}

template <class V>
FIELDS_HD void clip_to_cube(const Ray<V>& ray, V& near, V& far) {
  using S = ScalarOf<V>;
  const S low[3] = {S(0), S(0), S(0)}, high[3] = {S(1), S(1), S(1)};
  clip_to_box(ray, low, high, near, far);
}

}  // namespace fields
