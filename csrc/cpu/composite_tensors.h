// Packed samples as tensors: what the ops that composite them share, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/composite.h"

namespace fields {

template <class S>
struct PackedSamples {
  const S *sigma, *colour, *t, *dt;
  const int64_t* offsets;  // first sample of each ray, and the number of all
  int64_t rays;
  int channels;

  FIELDS_HD RaySamples<S> of_ray(int64_t first, int64_t count) const {
    return {colour + first * channels, t + first, dt + first, count, channels};
  }
};

inline void check_packed(const Tensor& sigma, const Tensor& colour, const Tensor& t,
                         const Tensor& dt, const Tensor& offsets) {
  const int64_t samples = sigma.numel();
  STD_TORCH_CHECK(colour.dim() == 2 && colour.size(0) == samples && t.numel() == samples &&
                      dt.numel() == samples,
                  "sigma, colour, t and dt differ in the number of samples");
  STD_TORCH_CHECK(offsets.dim() == 1 && offsets.size(0) >= 1, "offsets must be [R + 1]");
}

template <class S>
PackedSamples<S> packed_samples(const Tensor& sigma, const Tensor& colour, const Tensor& t,
                                const Tensor& dt, const Tensor& offsets) {
  return {read<S>(sigma),
          read<S>(colour),
          read<S>(t),
          read<S>(dt),
          read<int64_t>(offsets),
          offsets.size(0) - 1,
          static_cast<int>(colour.size(1))};
}

// run(packed samples, sums) for the dtype of the tensors.
template <class Run>
std::tuple<Tensor, Tensor, Tensor, Tensor> composite_op(const Tensor& sigma, const Tensor& colour,
                                                        const Tensor& t, const Tensor& dt,
                                                        const Tensor& offsets, const Run& run) {
  check_packed(sigma, colour, t, dt, offsets);
  const int64_t rays = offsets.size(0) - 1;
  Tensor sum = empty_of(colour, {rays, colour.size(1)}), weights = empty_of(sigma, {sigma.numel()});
  Tensor opacity = empty_of(sigma, {rays}), depth = empty_of(sigma, {rays});
  const auto with = [&](auto zero) {
    using S = decltype(zero);
    run(packed_samples<S>(sigma, colour, t, dt, offsets),
        RaySums<S>{write<S>(sum), write<S>(opacity), write<S>(depth), write<S>(weights)});
  };
  is_double(sigma) ? with(0.0) : with(0.0f);
  return {sum, opacity, depth, weights};
}

// run(packed samples, weights, gradients of the sums, gradient of sigma, of colour)
template <class Run>
std::tuple<Tensor, Tensor> composite_backward_op(
    const Tensor& grad_colour, const Tensor& grad_opacity, const Tensor& grad_depth,
    const Tensor& grad_weights, const Tensor& sigma, const Tensor& colour, const Tensor& t,
    const Tensor& dt, const Tensor& offsets, const Tensor& weights, const Run& run) {
  check_packed(sigma, colour, t, dt, offsets);
  const int64_t rays = offsets.size(0) - 1;
  STD_TORCH_CHECK(grad_colour.numel() == rays * colour.size(1) && grad_opacity.numel() == rays &&
                      grad_depth.numel() == rays && grad_weights.numel() == sigma.numel() &&
                      weights.numel() == sigma.numel(),
                  "gradients do not fit the rays and samples");
  Tensor to_sigma = empty_of(sigma, {sigma.numel()});
  Tensor to_colour = empty_of(colour, {colour.size(0), colour.size(1)});
  const auto with = [&](auto zero) {
    using S = decltype(zero);
    run(packed_samples<S>(sigma, colour, t, dt, offsets), read<S>(weights),
        RaySumGradients<S>{read<S>(grad_colour), read<S>(grad_opacity), read<S>(grad_depth),
                           read<S>(grad_weights)},
        write<S>(to_sigma), write<S>(to_colour));
  };
  is_double(sigma) ? with(0.0) : with(0.0f);
  return {to_sigma, to_colour};
}

}  // namespace fields
