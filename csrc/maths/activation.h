// Activations of the MLP and their derivatives, on any lane.
#pragma once

#include "lane.h"

namespace fields {

enum class Activation : int {
  none = 0,
  relu = 1,
  sine = 2,
  sigmoid = 3,
  softplus = 4,
  exponential = 5,
  tanh = 6,
  finer = 7
};

// Scalar lanes use the library; packs (cpu/pack_maths.h) use polynomials of stated error.
FIELDS_HD float exp(float x) { return ::expf(x); }
FIELDS_HD double exp(double x) { return ::exp(x); }
FIELDS_HD float log1p(float x) { return ::log1pf(x); }
FIELDS_HD double log1p(double x) { return ::log1p(x); }
FIELDS_HD void sincos(float x, float& s, float& c) {
  s = ::sinf(x);
  c = ::cosf(x);
}
FIELDS_HD void sincos(double x, double& s, double& c) {
  s = ::sin(x);
  c = ::cos(x);
}

template <class V>
FIELDS_HD V sigmoid(V x) {
  const V one = splat<V>(ScalarOf<V>(1));
  return one / (one + exp(-x));
}

// Value of the activation at pre-activation z; `derivative` receives d value / d z. `omega` is a
// frequency that z has been multiplied by already.
template <class V>
FIELDS_HD V activate(Activation activation, V z, V& derivative,
                     ScalarOf<V> omega = ScalarOf<V>(1)) {
  using S = ScalarOf<V>;
  const V zero = splat<V>(S(0));
  const V one = splat<V>(S(1));
  switch (activation) {
    case Activation::relu:
      derivative = select(z > zero, one, zero);
      return max(zero, z);  // in this order NaN passes, as in torch
    case Activation::sine: {
      V value;
      sincos(z, value, derivative);
      return value;
    }
    case Activation::finer: {
      // sin(omega (|a| + 1) a), a = z / omega (Liu et al. 2024, eq. 4); in the derivative |a| + 1
      // is a constant, as the authors train it
      const V stretch = fma(max(z, -z), splat<V>(S(1) / omega), one);
      V value;
      sincos(stretch * z, value, derivative);
      derivative = derivative * stretch;
      return value;
    }
    case Activation::sigmoid: {
      const V value = sigmoid(z);
      derivative = value * (one - value);
      return value;
    }
    case Activation::softplus:
      derivative = sigmoid(z);
      // log(1 + e^z) without overflow
      return max(z, zero) + log1p(exp(-max(z, -z)));
    case Activation::exponential:
      derivative = exp(z);
      return derivative;
    case Activation::tanh: {
      // (1 - e^-2|z|) / (1 + e^-2|z|) without overflow; absolute error below 2e-7 on packs
      const V fallen = exp(splat<V>(S(-2)) * max(z, -z));
      const V size = (one - fallen) / (one + fallen);
      const V value = select(z < zero, -size, size);
      derivative = one - value * value;
      return value;
    }
    default:
      derivative = one;
      return z;
  }
}

}  // namespace fields
