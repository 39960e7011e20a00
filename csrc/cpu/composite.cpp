// Packed samples to the colour, opacity and depth of rays, and back.
#include "maths/composite.h"

#include <torch/csrc/stable/library.h>

#include "cpu/composite_tensors.h"
#include "cpu/memory.h"
#include "cpu/pack_maths.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int64_t kRun = 256;  // rays of a task

// What each sample of [0, count) lets pass.
template <class V>
void all_passed(const ScalarOf<V>* sigma, const ScalarOf<V>* dt, int64_t count, ScalarOf<V>* pass) {
  using S = ScalarOf<V>;
  constexpr int width = Lane<V>::width;
  int64_t i = 0;
  for (; i + width <= count; i += width) {
    store<V>(pass + i, passed(load<V>(sigma + i), load<V>(dt + i)));
  }
  if (i == count) return;
  alignas(64) S last[3][width] = {};
  std::memcpy(last[0], sigma + i, (count - i) * sizeof(S));
  std::memcpy(last[1], dt + i, (count - i) * sizeof(S));
  store<V>(last[2], passed(load<V>(last[0]), load<V>(last[1])));
  std::memcpy(pass + i, last[2], (count - i) * sizeof(S));
}

// body(ray, first sample, samples, pass of the first sample) for every ray.
template <class V, class Body>
void for_rays(const PackedSamples<ScalarOf<V>>& packed, const Body& body) {
  using S = ScalarOf<V>;
  parallel_tasks((packed.rays + kRun - 1) / kRun, [&](int64_t task, int) {
    const int64_t begin = task * kRun, end = std::min(packed.rays, begin + kRun);
    const int64_t from = packed.offsets[begin], count = packed.offsets[end] - from;
    Scratch<S> pass(count);
    all_passed<V>(packed.sigma + from, packed.dt + from, count, pass.data());
    for (int64_t ray = begin; ray < end; ++ray) {
      const int64_t first = packed.offsets[ray];
      body(ray, first, packed.offsets[ray + 1] - first, pass.data() + (first - from));
    }
  });
}

template <class V>
void forward(const PackedSamples<ScalarOf<V>>& packed, const RaySums<ScalarOf<V>>& out) {
  using S = ScalarOf<V>;
  for_rays<V>(packed, [&](int64_t ray, int64_t first, int64_t count, const S* pass) {
    composite_ray(
        packed.of_ray(first, count), [=](int64_t i) { return pass[i]; },
        RaySums<S>{out.colour + ray * packed.channels, out.opacity + ray, out.depth + ray,
                   out.weights + first});
  });
}

template <class V>
void backward(const PackedSamples<ScalarOf<V>>& packed, const ScalarOf<V>* weights,
              const RaySumGradients<ScalarOf<V>>& grad, ScalarOf<V>* grad_sigma,
              ScalarOf<V>* grad_colour) {
  using S = ScalarOf<V>;
  for_rays<V>(packed, [&](int64_t ray, int64_t first, int64_t count, const S* pass) {
    composite_ray_backward(
        packed.of_ray(first, count), [=](int64_t i) { return pass[i]; }, weights + first,
        RaySumGradients<S>{grad.colour + ray * packed.channels, grad.opacity + ray,
                           grad.depth + ray, grad.weights + first},
        grad_sigma + first, grad_colour + first * packed.channels);
  });
}

template <class S>
using LaneOf = std::conditional_t<std::is_same_v<S, double>, double, Pack>;

// Offsets that do not rise would have kernels write anywhere.
void check_offsets(const Tensor& offsets, int64_t samples) {
  const int64_t* at = read<int64_t>(offsets);
  const int64_t rays = offsets.numel() - 1;
  bool rise = rays >= 0 && at[0] == 0 && at[rays] == samples;
  for (int64_t ray = 0; rise && ray < rays; ++ray) rise = at[ray] <= at[ray + 1];
  STD_TORCH_CHECK(rise, "offsets must rise from 0 to the number of samples");
}

std::tuple<Tensor, Tensor, Tensor, Tensor> composite(Tensor sigma, Tensor colour, Tensor t,
                                                     Tensor dt, Tensor offsets) {
  check_offsets(offsets, sigma.numel());
  return composite_op(sigma, colour, t, dt, offsets, [](const auto& packed, const auto& out) {
    using S = std::remove_pointer_t<decltype(out.weights)>;
    forward<LaneOf<S>>(packed, out);
  });
}

std::tuple<Tensor, Tensor> composite_backward(Tensor grad_colour, Tensor grad_opacity,
                                              Tensor grad_depth, Tensor grad_weights, Tensor sigma,
                                              Tensor colour, Tensor t, Tensor dt, Tensor offsets,
                                              Tensor weights) {
  check_offsets(offsets, sigma.numel());
  return composite_backward_op(
      grad_colour, grad_opacity, grad_depth, grad_weights, sigma, colour, t, dt, offsets, weights,
      [](const auto& packed, const auto* w, const auto& grad, auto* to_sigma, auto* to_colour) {
        using S = std::remove_pointer_t<decltype(to_sigma)>;
        backward<LaneOf<S>>(packed, w, grad, to_sigma, to_colour);
      });
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("composite", TORCH_BOX(&fields::composite));
  m.impl("composite_backward", TORCH_BOX(&fields::composite_backward));
}
