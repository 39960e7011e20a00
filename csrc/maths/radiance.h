// A radiance field on a grid: features -> density MLP -> raw [16], of which the first is the log of
// the density; raw and spherical harmonics of the direction -> colour MLP -> RGB (Mueller et al.
// 2022, section 5.4).
#pragma once

#include "activation.h"

namespace fields {

constexpr int kRadianceFeatures = 16;        // outputs of the density MLP
constexpr float kLargestLogDensity = 15.0f;  // beyond it the density stays, and has no slope

template <class V>
FIELDS_HD V density_of(V raw) {
  return exp(min(splat<V>(ScalarOf<V>(kLargestLogDensity)), raw));  // in this order NaN passes
}

// d loss / d raw from d loss / d density
template <class V>
FIELDS_HD V density_gradient(V raw, V density, V gradient) {
  const V zero = splat<V>(ScalarOf<V>(0));
  return select(raw < splat<V>(ScalarOf<V>(kLargestLogDensity)), gradient * density, zero);
}

}  // namespace fields
