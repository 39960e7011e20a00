// One Fourier feature of a point, on any lane.
#pragma once

#include "activation.h"

namespace fields {

// To the nearest integer.
FIELDS_HD float nearest(float x) { return ::rintf(x); }
FIELDS_HD double nearest(double x) { return ::rint(x); }

// cos and sin of 2 pi turns. Whole turns are taken off first, so that large angles keep their
// digits.
template <class V>
FIELDS_HD void fourier_pair(V turns, V& cosine, V& sine) {
  using S = ScalarOf<V>;
  sincos((turns - nearest(turns)) * splat<V>(S(6.283185307179586)), sine, cosine);
}

}  // namespace fields
