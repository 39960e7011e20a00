// Losses of one value and their slopes, on any lane.
#pragma once

#include "activation.h"

namespace fields {

enum class Loss : int {
  l2 = 0,
  l1 = 1,
  relative = 2,  // |value - target| / (|target| + 0.01): near a surface, where distances are small
  binary = 3,    // cross entropy of sigmoid(value) and a target in [0, 1]
  given = 4,     // no loss: the slope itself stands in place of the target
  clipped = 5    // |value held in [-1, 1] - target|: beyond, the side alone counts
};

// Of `relative`: in lengths of the unit cube, about the distance at which samples lie near a
// surface.
constexpr float kRelativeFloor = 0.01f;

template <class V>
FIELDS_HD V loss_term(Loss loss, V value, V target, V& slope) {
  using S = ScalarOf<V>;
  const V zero = splat<V>(S(0)), one = splat<V>(S(1));
  const bool is_clipped = loss == Loss::clipped;
  const V error = (is_clipped ? min(max(value, -one), one) : value) - target;
  if (loss == Loss::l2) {
    slope = error + error;
    return error * error;
  }
  if (loss == Loss::binary) {
    slope = sigmoid(value) - target;
    return max(value, zero) + log1p(exp(-max(value, -value))) - target * value;
  }
  V weight = one;
  if (loss == Loss::relative) weight = one / (max(target, -target) + splat<V>(S(kRelativeFloor)));
  slope = select(error > zero, weight, select(error < zero, -weight, zero));
  return max(error, -error) * weight;
}

}  // namespace fields
