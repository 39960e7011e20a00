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

struct MarchSample {
  float coords[3];  // of the field, in [0, 1]
  float t;
  float dt;
};

struct RayWalk {
  Ray ray;
  float start;
  float t;    // of the lattice's next place
  float far;  // where the ray ends
  int index;  // of that place, where all steps are alike
};

FIELDS_HD uint32_t march_key(int64_t seed, int64_t step) {
  return mix(mix(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)),
             static_cast<uint32_t>(step));
}

// Where in its first step a ray begins, in [0, 1): a function of key and ray alone.
FIELDS_HD float march_offset(uint32_t key, uint32_t ray) {
  return static_cast<float>(mix(key, ray) >> 8) * (1.0f / 16777216.0f);
}

FIELDS_HD float step_at(const MarchRule& rule, float t) {
  return min(max(t * rule.growth, rule.step), rule.largest);
}

FIELDS_HD RayWalk begin_walk(const MarchRule& rule, const float* origin, const float* direction,
                             float offset) {
  RayWalk walk;
  walk.ray = make_ray(origin, direction);
  float near = rule.near;
  walk.far = rule.far;
  if (!rule.contract) clip_to_cube(walk.ray, near, walk.far);
  walk.start = walk.t = fma(offset, step_at(rule, near), near);
  walk.index = 0;
  return walk;
}

FIELDS_HD void next_place(const MarchRule& rule, RayWalk& walk) {
  if (rule.growth == 0.0f) {
    walk.t = fma(static_cast<float>(++walk.index), rule.step, walk.start);
  } else {
    walk.t += step_at(rule, walk.t);
  }
}

// To the first place at or behind t, and at least to the next one.
FIELDS_HD void skip_to(const MarchRule& rule, float t, RayWalk& walk) {
  if (rule.growth == 0.0f) {
    const float steps = (min(t, walk.far) - walk.t) / rule.step;
    int whole = static_cast<int>(steps);
    whole += static_cast<float>(whole) < steps ? 1 : 0;
    walk.index += whole > 1 ? whole : 1;
    walk.t = fma(static_cast<float>(walk.index), rule.step, walk.start);
  } else {
    const float until = min(t, walk.far);
    do {
      walk.t += step_at(rule, walk.t);
    } while (walk.t < until);
  }
}

// The coarsest cascade has to serve where the finer ones end or their cells are less than a step.
FIELDS_HD int cascade_at(const Occupancy& occupancy, const float (&x)[3], float dt) {
  float from_centre = 0.0f;
  for (int d = 0; d < 3; ++d) {
    from_centre = max(max(x[d] - 0.5f, 0.5f - x[d]), from_centre);
  }
  int cascade = occupancy.cascades - 1;
  float half = 0.25f;  // of the side of the next finer cascade
  while (cascade > 0 && from_centre < half &&
         2.0f * half >= dt * static_cast<float>(occupancy.resolution)) {
    --cascade;
    half *= 0.5f;
  }
  return cascade;
}

// Where the ray leaves the block of 2^log2_side cells around a cell of a cascade.
FIELDS_HD float block_exit(const Occupancy& occupancy, const Ray& ray, int cascade,
                           const uint32_t (&cell)[3], int log2_side) {
  // Of a cell, in unit cubes; all are powers of two, so planes are exact.
  const float side =
      1.0f / static_cast<float>(occupancy.resolution << (occupancy.cascades - 1 - cascade));
  const float low = 0.5f - 0.5f * side * static_cast<float>(occupancy.resolution);
  float exit = 3e38f;
  for (int d = 0; d < 3; ++d) {
    const uint32_t block = (cell[d] >> log2_side) + (ray.direction[d] >= 0.0f ? 1u : 0u);
    const float plane = fma(static_cast<float>(block << log2_side), side, low);
    exit = min((plane - ray.origin[d]) * ray.inverse[d], exit);
  }
  return exit;
}

// The next sample in a cell that is not empty; false behind the last one.
FIELDS_HD bool next_sample(const MarchRule& rule, const Occupancy& occupancy, RayWalk& walk,
                           MarchSample& sample) {
  while (walk.t < walk.far) {
    const float dt = step_at(rule, walk.t);
    float (&x)[3] = sample.coords;
    for (int d = 0; d < 3; ++d) x[d] = fma(walk.t, walk.ray.direction[d], walk.ray.origin[d]);
    if (rule.contract) contract(x);
    for (int d = 0; d < 3; ++d) x[d] = min(max(x[d], 0.0f), 1.0f);
    const int cascade = occupancy.cascades == 1 ? 0 : cascade_at(occupancy, x, dt);
    const float zoom = static_cast<float>(1 << (occupancy.cascades - 1 - cascade));
    const float cells = static_cast<float>(occupancy.resolution);
    uint32_t cell[3];
    for (int d = 0; d < 3; ++d) {
      const float place = fma(x[d] - 0.5f, zoom, 0.5f) * cells;
      cell[d] = truncate(min(max(place, 0.0f), cells - 1.0f));
    }
    const int empty =
        empty_block_log2(occupancy.words + cascade * occupancy.stride,
                         static_cast<uint32_t>(occupancy.resolution), cell[0], cell[1], cell[2]);
    if (empty < 0) {
      sample.t = walk.t;
      sample.dt = dt;
      next_place(rule, walk);
      return true;
    }
    if (rule.contract) {  // rays are bent there
      next_place(rule, walk);
    } else {
      skip_to(rule, block_exit(occupancy, walk.ray, cascade, cell, empty), walk);
    }
  }
  return false;
}

}  // namespace fields
