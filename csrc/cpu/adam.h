// Adam over runs of parameters, on packs.
#pragma once

#include "cpu/pack.h"
#include "maths/adam.h"

namespace fields {

// Adam on [0, count). With `touched_only`, numbers whose gradient is exactly zero keep their value
// and their moments (tiny-cuda-nn's rule).
inline void adam_range(const Adam& adam, float* param, const float* grad, float* m, float* v,
                       int64_t count, bool touched_only) {
  int64_t i = 0;
  const Pack zero = splat<Pack>(0.0f);
  for (; i + kWidth <= count; i += kWidth) {
    const Pack g = load<Pack>(grad + i);
    if (touched_only && all(g == zero)) continue;
    const Pack p0 = load<Pack>(param + i), m0 = load<Pack>(m + i), v0 = load<Pack>(v + i);
    Pack p = p0, m1 = m0, v1 = v0;
    adam_update(adam, p, g, m1, v1);
    if (touched_only) {
      const PackMask touched = g != zero;
      p = select(touched, p, p0);
      m1 = select(touched, m1, m0);
      v1 = select(touched, v1, v0);
    }
    store(param + i, p);
    store(m + i, m1);
    store(v + i, v1);
  }
  for (; i < count; ++i) {
    if (touched_only && grad[i] == 0.0f) continue;
    adam_update(adam, param[i], grad[i], m[i], v[i]);
  }
}

}  // namespace fields
