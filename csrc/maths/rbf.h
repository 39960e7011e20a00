// A layer of Gaussian kernels in feature space and a linear layer behind it (Gaussian RBFNet,
// Bouzidi et al. 2025): the shape, the layout of its flat parameter vector, and what is computed
// for one sample and one kernel.
//
//   r_i = sum_d beta_id (F_d - mu_id)^2,  phi_i = exp(-factor r_i),  y = output(W phi + b + A F)
//
// params: mu [kernels][inputs], log beta [kernels][inputs], W [outputs][kernels], b [outputs], and
// A [outputs][inputs] where there is an affine part; all row major. Differences are squared as they
// are: the expanded product cancels far from the origin, and can make r negative.
#pragma once

#include "activation.h"

namespace fields {

struct RbfShape {
  int inputs;
  int kernels;
  int outputs;
  bool affine;
  double factor;
  Activation output;

  // What the linear layer takes: the kernels, then the features where there is an affine part.
  FIELDS_HD int units() const { return kernels + (affine ? inputs : 0); }
  FIELDS_HD int64_t table() const { return int64_t(kernels) * inputs; }  // of mu and of log beta
  FIELDS_HD int64_t weight_offset() const { return 2 * table(); }
  FIELDS_HD int64_t bias_offset() const { return weight_offset() + int64_t(outputs) * kernels; }
  FIELDS_HD int64_t affine_offset() const { return bias_offset() + outputs; }
  FIELDS_HD int64_t size() const { return affine_offset() + (affine ? outputs * inputs : 0); }
};

// exp(-factor r); exactly 0 where float32 has no normal number left, so that its derivatives are 0
// however far the sample lies. NaN passes.
template <class V>
FIELDS_HD V gaussian(V r, ScalarOf<V> factor) {
  using S = ScalarOf<V>;
  const V exponent = splat<V>(-factor) * r;
  const V lowest = splat<V>(S(sizeof(S) == sizeof(float) ? -87 : -700));
  return select(exponent < lowest, splat<V>(S(0)), exp(exponent));
}

// Second derivative of an output activation from its value and its slope.
template <class V>
FIELDS_HD V curvature(Activation activation, V value, V slope) {
  using S = ScalarOf<V>;
  const V one = splat<V>(S(1));
  switch (activation) {
    case Activation::sigmoid:
      return slope * (one - value - value);
    case Activation::softplus:
      return slope * (one - slope);
    case Activation::exponential:
      return value;
    case Activation::tanh:
      return splat<V>(S(-2)) * value * slope;
    default:
      return splat<V>(S(0));
  }
}

}  // namespace fields
