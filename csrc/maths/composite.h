// Emission and absorption along a ray (Max 1995; Mildenhall et al. 2020, eq. 3): a sample of
// density sigma stands for dt of its ray,
//   alpha_i = 1 - exp(-sigma_i dt_i),  T_i = prod_(j < i) (1 - alpha_j),  w_i = T_i alpha_i
//   colour = sum w_i c_i,  opacity = sum w_i,  depth = sum w_i t_i
// so that the weights and what is left, T, make 1. With g_i = d loss / d w_i:
//   d loss / d sigma_i = dt_i (T_(i+1) g_i - sum_(j > i) w_j g_j)
#pragma once

#include "activation.h"

namespace fields {

// 1 - alpha
template <class V>
FIELDS_HD V passed(V sigma, V dt) {
  return exp(-(sigma * dt));
}

// Takes a sample in front of what is behind it: its weight, and T_(i+1) in place of T_i.
template <class S>
FIELDS_HD S take_sample(S& transmittance, S pass) {
  const S weight = transmittance * (S(1) - pass);
  transmittance *= pass;
  return weight;
}

// behind: sum of w_j g_j over the samples behind; next: T_(i+1)
template <class S>
FIELDS_HD S sigma_gradient(S dt, S next, S g, S behind) {
  return dt * (next * g - behind);
}

// Where the samples of a ray and what they add up to lie; colours are [samples][channels].
template <class S>
struct RaySamples {
  const S *colour, *t, *dt;
  int64_t count;
  int channels;
};
template <class S>
struct RaySums {
  S *colour, *opacity, *depth;  // of the ray
  S* weights;                   // of its samples
};
template <class S>
struct RaySumGradients {
  const S *colour, *opacity, *depth, *weights;
};

// pass(i): 1 - alpha_i
template <class S, class Pass>
FIELDS_HD void composite_ray(const RaySamples<S>& ray, const Pass& pass, const RaySums<S>& out) {
  S transmittance = S(1), opacity = S(0), depth = S(0);
  for (int c = 0; c < ray.channels; ++c) out.colour[c] = S(0);
  for (int64_t i = 0; i < ray.count; ++i) {
    const S weight = take_sample(transmittance, pass(i));
    out.weights[i] = weight;
    opacity += weight;
    depth = fma(weight, ray.t[i], depth);
    const S* colour = ray.colour + i * ray.channels;
    for (int c = 0; c < ray.channels; ++c) out.colour[c] = fma(weight, colour[c], out.colour[c]);
  }
  *out.opacity = opacity;
  *out.depth = depth;
}

// `weights` are those of composite_ray.
template <class S, class Pass>
FIELDS_HD void composite_ray_backward(const RaySamples<S>& ray, const Pass& pass, const S* weights,
                                      const RaySumGradients<S>& grad, S* grad_sigma,
                                      S* grad_colour) {
  S next = S(1);
  for (int64_t i = 0; i < ray.count; ++i) grad_sigma[i] = next *= pass(i);
  S behind = S(0);
  for (int64_t i = ray.count - 1; i >= 0; --i) {
    const S* colour = ray.colour + i * ray.channels;
    S g = fma(*grad.depth, ray.t[i], *grad.opacity + grad.weights[i]);
    for (int c = 0; c < ray.channels; ++c) {
      g = fma(grad.colour[c], colour[c], g);
      grad_colour[i * ray.channels + c] = weights[i] * grad.colour[c];
    }
    grad_sigma[i] = sigma_gradient(ray.dt[i], grad_sigma[i], g, behind);
    behind = fma(weights[i], g, behind);
  }
}

}  // namespace fields
