// Walks from outside to where a distance field is 0: along a ray (Hart 1996, "Sphere Tracing"), and
// along a cone that holds many rays, all of which it tells how far their way is free.
//
// A walk asks for the field's value at one place after another; whoever walks many asks for all of
// them at once.
#pragma once

#include "ray.h"

namespace fields {

struct TraceRule {
  float bound;            // the largest slope of the field
  float least;            // the shortest step
  float near;             // values at which a ray has arrived
  float level;            // the value that stands for the surface
  float back;             // how far in front of the surface its normal is taken
  float offset;           // half the distance between the points of a difference quotient
  int most;               // values asked for on the way to the surface
  float low[3], high[3];  // corners of the box that the surface lies in, within the unit cube
};

enum class Walk { on, hit, missed };

constexpr int kNarrowings = 8;  // values asked for once the surface lies between two places
constexpr int kConeSteps = 32;

struct TracedRay {
  float origin[3], direction[3];
  float start, t, end;    // where it enters the box, is, and leaves the box
  float outside, inside;  // the last place outside, and the first inside once it is found
  float value_outside, value_inside;
  int asked;
  bool careful;  // the last step was no longer than is free
  int side;      // of the surface on which the last value was; 0: it is not yet between two places
};

// A ray that enters the box at once or behind `free`; false where it does not.
FIELDS_HD bool begin_ray(const TraceRule& rule, const float* origin, const float* direction,
                         float free, TracedRay& ray) {
  float o[3], d[3];
  for (int i = 0; i < 3; ++i) {
    ray.origin[i] = o[i] = origin[i];
    ray.direction[i] = d[i] = direction[i];
  }
  ray.start = 0.0f;
  ray.end = 3e38f;
  clip_to_box(make_ray<float>(o, d), rule.low, rule.high, ray.start, ray.end);
  ray.t = max(ray.start, free);
  ray.asked = ray.side = 0;
  ray.careful = false;
  return ray.t < ray.end;
}

// Where a line through both values is 0.
FIELDS_HD float crossing(const TracedRay& ray) {
  const float along = ray.value_outside / (ray.value_outside - ray.value_inside);
  return fma(along, ray.inside - ray.outside, ray.outside);
}

// Regula falsi, in the form of Dowell and Jarratt 1971 ("Illinois"): where one side stays, its
// value is halved.
FIELDS_HD Walk narrow(const TraceRule& rule, float value, TracedRay& ray) {
  const float size = value < 0.0f ? -value : value;
  if (size <= 0.25f * rule.near || ray.asked >= kNarrowings) return Walk::hit;
  const int side = value < 0.0f ? -1 : 1;
  if (side < 0) {
    ray.inside = ray.t;
    ray.value_inside = value;
    if (ray.side == side) ray.value_outside *= 0.5f;
  } else {
    ray.outside = ray.t;
    ray.value_outside = value;
    if (ray.side == side) ray.value_inside *= 0.5f;
  }
  ray.side = side;
  ray.t = crossing(ray);
  return Walk::on;
}

// A longer step for values that change as much as they did on the last one: as far as the ball
// there will touch the one here (Bálint and Valasek 2018), or to where a value of 0 is expected if
// little lies between that and the ball.
FIELDS_HD float stretched(const TraceRule& rule, float value, float falls, float step) {
  const float touching = 1.8f * value / (rule.bound + max(falls, -0.5f * rule.bound));
  float result = max(step, touching);
  if (value < 1e30f * falls) {
    const float to_zero = (value + 0.25f * rule.near) / falls;
    if (to_zero < step + 2.0f * rule.least) result = max(result, to_zero);
  }
  return result;
}

// What follows from the value at the ray's place.
FIELDS_HD Walk step_on(const TraceRule& rule, float value, TracedRay& ray) {
  value -= rule.level;
  ++ray.asked;
  if (ray.side) return narrow(rule, value, ray);
  if (value < 0.0f) {
    if (ray.asked == 1) {
      if (!(ray.start < ray.t)) return Walk::hit;  // it begins inside
      ray.t = ray.start;  // its way was not free: a field's slope is more than `bound` somewhere
      ray.asked = 0;
      return Walk::on;
    }
    ray.inside = ray.t;
    ray.value_inside = value;
    ray.side = -1;
    ray.asked = 0;
    ray.t = crossing(ray);
    return Walk::on;
  }
  if (value <= rule.near) return Walk::hit;
  if (ray.asked >= rule.most) return Walk::missed;
  const float free = value / rule.bound, step = max(free, rule.least);
  float far = step;
  if (ray.asked > 1) {
    const float taken = ray.t - ray.outside;
    if (taken > (ray.value_outside + value) / rule.bound + 0.5f * rule.least && !ray.careful) {
      // What lies between the two balls that are free is longer than a step may be: back.
      ray.t = ray.outside + max(ray.value_outside / rule.bound, rule.least);
      ray.careful = true;
      return ray.t < ray.end ? Walk::on : Walk::missed;
    }
    far = stretched(rule, value, (ray.value_outside - value) / taken, step);
  }
  if (!(ray.t + step < ray.end)) return Walk::missed;
  ray.outside = ray.t;
  ray.value_outside = value;
  ray.careful = !(ray.t + far < ray.end);
  ray.t += ray.careful ? step : far;
  return Walk::on;
}

// Rays at most `apart` from the one in the middle where they begin, and their directions at most
// `spread`: at t, none is further from it than apart + t spread.
struct RayCone {
  float origin[3], direction[3];
  float apart, spread;
  float t, end;
  int asked;

  FIELDS_HD float reach() const { return fma(t, spread, apart); }
};

// False where none of the rays meets the box.
FIELDS_HD bool begin_cone(const TraceRule& rule, RayCone& cone) {
  float o[3], d[3], low[3], high[3], far2 = 0.0f;
  for (int i = 0; i < 3; ++i) {
    o[i] = cone.origin[i];
    d[i] = cone.direction[i];
    const float side = max(o[i] - rule.low[i], rule.high[i] - o[i]);
    far2 = fma(side, side, far2);
  }
  const float reach = fma(sqrt(far2) + cone.apart, cone.spread, cone.apart);
  for (int i = 0; i < 3; ++i) {
    low[i] = rule.low[i] - reach;
    high[i] = rule.high[i] + reach;
  }
  cone.t = 0.0f;
  cone.end = 3e38f;
  cone.asked = 0;
  clip_to_box(make_ray<float>(o, d), low, high, cone.t, cone.end);
  return cone.t < cone.end;
}

// As for a ray, for the value at the place of the cube next to its own; the rays' way is free up to
// t. A hit is where the cone ends, near a surface. The ball around the place that is free holds all
// rays up to t' where |t' - t| + reach(t') is no more than its radius.
FIELDS_HD Walk step_on(const TraceRule& rule, float value, RayCone& cone) {
  float beside2 = 0.0f;  // from the place to the cube: no surface lies beyond it
  for (int i = 0; i < 3; ++i) {
    const float x = fma(cone.t, cone.direction[i], cone.origin[i]);
    const float out = max(max(x - 1.0f, -x), 0.0f);
    beside2 = fma(out, out, beside2);
  }
  const float free = max(value - rule.level, 0.0f) / rule.bound;
  const float radius = sqrt(fma(free, free, beside2));
  const float next = (radius + cone.t - cone.apart) / (1.0f + cone.spread);
  const float step = next - cone.t;
  if (!(step > 0.0f)) return Walk::hit;
  const bool small = step < 0.25f * cone.reach() || step < rule.least;
  cone.t = next;
  if (!(next < cone.end)) return Walk::missed;
  return small || ++cone.asked >= kConeSteps ? Walk::hit : Walk::on;
}

}  // namespace fields
