// A walk along a ray, from sample to sample through cells that are not empty.
//
// Samples lie on a lattice that depends on the ray alone, not on what is empty: t_k = t_0 + k step,
// or t_(k+1) = t_k + step(t_k) where steps grow with the distance. A sample stands for step(t_k) of
// its ray, in which the field is taken as constant.
#pragma once

#include "contraction.h"
#include "occupancy.h"
#include "random.h"
#include "ray.h"

namespace fields {

struct MarchRule {
  float near, far;  // along a ray
  float step;       // the smallest
  float growth;     // step(t) = t growth, within [step, largest]; 0: always `step`
  float largest;
  bool contract;  // all of space, contracted (contraction.h), in place of the unit cube
};

struct MarchLimits {
  float min_weight;         // of a sample that counts
  float min_transmittance;  // of a ray that goes on
};

// Of one ray, or of a pack of rays.
template <class V>
struct RayWalk {
  Ray<V> ray;
  V far;    // where the ray ends
  V start;  // where its lattice begins
  V index;  // of the lattice's next place, where all steps are alike
  V t;      // of that place
};

// The lattice's next place in space and in the grid.
template <class V>
struct Place {
  V coords[3];  // of the field, in [0, 1]
  V dt;
  IntOf<V> cell[3];
  IntOf<V> cascade;
  V side, low;  // of a cell, and of the cube that its cascade covers, in unit cubes
};

struct MarchSample {
  float coords[3];
  float t;
  float dt;
};

FIELDS_HD uint32_t march_key(int64_t seed, int64_t step) {
  return mix(mix(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)),
             static_cast<uint32_t>(step));
}

// Where in its first step a ray begins, in [0, 1): a function of key and ray alone.
FIELDS_HD float march_offset(uint32_t key, uint32_t ray) {
  return static_cast<float>(mix(key, ray) >> 8) * (1.0f / 16777216.0f);
}

template <class V>
FIELDS_HD V step_at(const MarchRule& rule, V t) {
  return min(max(t * splat<V>(rule.growth), splat<V>(rule.step)), splat<V>(rule.largest));
}

template <class V>
FIELDS_HD RayWalk<V> begin_walk(const MarchRule& rule, const V (&origin)[3],
                                const V (&direction)[3], V offset) {
  RayWalk<V> walk;
  walk.ray = make_ray(origin, direction);
  V near = splat<V>(rule.near);
  walk.far = splat<V>(rule.far);
  if (!rule.contract) clip_to_cube(walk.ray, near, walk.far);
  walk.start = walk.t = fma(offset, step_at(rule, near), near);
  walk.index = splat<V>(0.0f);
  return walk;
}

template <class V>
FIELDS_HD void next_place(const MarchRule& rule, RayWalk<V>& walk) {
  if (rule.growth == 0.0f) {
    walk.index = walk.index + splat<V>(1.0f);
    walk.t = fma(walk.index, splat<V>(rule.step), walk.start);
  } else {
    walk.t = walk.t + step_at(rule, walk.t);
  }
}

// To the first place at or behind t, and at least to the next one; a pack whose steps grow goes to
// the next one, from where it may be called again.
template <class V>
FIELDS_HD void skip_to(const MarchRule& rule, V t, RayWalk<V>& walk) {
  const V until = min(t, walk.far);
  if (rule.growth == 0.0f) {
    const V steps = (until - walk.t) * splat<V>(1.0f / rule.step);
    const V whole = to_real<V>(truncate(steps));
    const V more = select(whole < steps, splat<V>(1.0f), splat<V>(0.0f));
    walk.index = walk.index + max(whole + more, splat<V>(1.0f));
    walk.t = fma(walk.index, splat<V>(rule.step), walk.start);
  } else {
    next_place(rule, walk);
    if constexpr (Lane<V>::width == 1) {
      while (walk.t < until) next_place(rule, walk);
    }
  }
}

// To the lattice's last place before t, or at it, which may be where the walk stands.
template <class V>
FIELDS_HD void enter_at(const MarchRule& rule, V t, RayWalk<V>& walk) {
  const V zero = splat<V>(0.0f);
  const V steps = max((min(t, walk.far) - walk.t) * splat<V>(1.0f / rule.step), zero);
  walk.index = walk.index + to_real<V>(truncate(steps));
  walk.t = fma(walk.index, splat<V>(rule.step), walk.start);
}

// The finest cascade that holds the place and has cells of more than a step, or the coarsest.
template <class V>
FIELDS_HD Place<V> look(const MarchRule& rule, const Occupancy& occupancy, const RayWalk<V>& walk) {
  Place<V> place;
  V(&x)[3] = place.coords;
  const V zero = splat<V>(0.0f), half = splat<V>(0.5f), one = splat<V>(1.0f);
  for (int d = 0; d < 3; ++d) x[d] = fma(walk.t, walk.ray.direction[d], walk.ray.origin[d]);
  if (rule.contract) contract_to_cube(x);
  for (int d = 0; d < 3; ++d) x[d] = min(max(x[d], zero), one);
  place.dt = step_at(rule, walk.t);
  const float n = static_cast<float>(occupancy.resolution);
  place.cascade = splat_int<IntOf<V>>(static_cast<uint32_t>(occupancy.cascades - 1));
  V zoom = one;
  if (occupancy.cascades > 1) {
    V needed = place.dt * splat<V>(n);  // side of the cube that a cascade has to cover
    for (int d = 0; d < 3; ++d) {
      const V from_centre = max(x[d] - half, half - x[d]);
      needed = max(from_centre + from_centre, needed);
    }
    float side = 0.5f;
    for (int c = occupancy.cascades - 2; c >= 0; --c, side *= 0.5f) {
      const auto fits = needed < splat<V>(side);
      place.cascade = select(fits, splat_int<IntOf<V>>(static_cast<uint32_t>(c)), place.cascade);
      zoom = select(fits, splat<V>(1.0f / side), zoom);
    }
  }
  for (int d = 0; d < 3; ++d) {
    const V at = fma(x[d] - half, zoom, half) * splat<V>(n);
    place.cell[d] = truncate(min(max(at, zero), splat<V>(n - 1.0f)));
  }
  // All are powers of two, so that planes between cells are exact.
  place.side = one / (zoom * splat<V>(n));
  place.low = half - half / zoom;
  return place;
}

// From an empty block of so many cells along an axis, a power of two, to the first place behind it.
template <class V>
FIELDS_HD void leave(const MarchRule& rule, const Place<V>& place, V cells, RayWalk<V>& walk) {
  if (rule.contract) return next_place(rule, walk);  // rays are bent there
  const V inverse = splat<V>(1.0f) / cells, zero = splat<V>(0.0f);
  V exit = splat<V>(3e38f);
  for (int d = 0; d < 3; ++d) {
    const V block = to_real<V>(truncate(to_real<V>(place.cell[d]) * inverse));
    const V ahead = select(walk.ray.direction[d] < zero, zero, splat<V>(1.0f));
    const V plane = fma((block + ahead) * cells, place.side, place.low);
    exit = min((plane - walk.ray.origin[d]) * walk.ray.inverse[d], exit);
  }
  skip_to(rule, exit, walk);
}

// The next sample in a cell that is not empty; false behind the last one.
FIELDS_HD bool next_sample(const MarchRule& rule, const Occupancy& occupancy, RayWalk<float>& walk,
                           MarchSample& sample) {
  while (walk.t < walk.far) {
    const Place<float> place = look(rule, occupancy, walk);
    const int empty =
        empty_block_log2(occupancy, place.cascade, place.cell[0], place.cell[1], place.cell[2]);
    if (empty < 0) {
      for (int d = 0; d < 3; ++d) sample.coords[d] = place.coords[d];
      sample.t = walk.t;
      sample.dt = place.dt;
      next_place(rule, walk);
      return true;
    }
    leave(rule, place, static_cast<float>(1 << empty), walk);
  }
  return false;
}

}  // namespace fields
