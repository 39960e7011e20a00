// Adam (Kingma and Ba 2015, algorithm 1) with torch's conventions: L2 is added to the gradient, and
// eps to the square root of the bias-corrected second moment.
#pragma once

#include "lane.h"

namespace fields {

struct Adam {
  float one_minus_beta1;
  float beta2;
  float one_minus_beta2;  // rounded from double: 1 - 0.999f is off by 5e-5
  float eps;
  float weight_decay;
  float step_size;            // lr / (1 - beta1^step)
  float inv_sqrt_correction;  // 1 / sqrt(1 - beta2^step)
};

inline Adam make_adam(int64_t step, double lr, double beta1, double beta2, double eps,
                      double weight_decay) {
  Adam adam;
  adam.one_minus_beta1 = static_cast<float>(1.0 - beta1);
  adam.beta2 = static_cast<float>(beta2);
  adam.one_minus_beta2 = static_cast<float>(1.0 - beta2);
  adam.eps = static_cast<float>(eps);
  adam.weight_decay = static_cast<float>(weight_decay);
  adam.step_size = static_cast<float>(lr / (1.0 - std::pow(beta1, double(step))));
  adam.inv_sqrt_correction =
      static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, double(step))));
  return adam;
}

template <class V>
FIELDS_HD void adam_update(const Adam& adam, V& param, V gradient, V& m, V& v) {
  using S = ScalarOf<V>;
  gradient = fma(param, splat<V>(S(adam.weight_decay)), gradient);
  m = fma(gradient - m, splat<V>(S(adam.one_minus_beta1)), m);
  v = fma(gradient * gradient, splat<V>(S(adam.one_minus_beta2)), v * splat<V>(S(adam.beta2)));
  const V denominator = fma(sqrt(v), splat<V>(S(adam.inv_sqrt_correction)), splat<V>(S(adam.eps)));
  param = param - splat<V>(S(adam.step_size)) * m / denominator;
}

}  // namespace fields
