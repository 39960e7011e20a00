// Packed samples to the colour, opacity and depth of rays, and back: a thread for each ray.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/composite_tensors.h"

namespace fields::cuda {
namespace {

// What sample i of a ray lets pass.
template <class S>
struct Passed {
  const S *sigma, *dt;
  __device__ S operator()(int64_t i) const { return passed(sigma[i], dt[i]); }
};

template <class S>
__global__ void forward(const PackedSamples<S> packed, const RaySums<S> out) {
  const int64_t ray = thread_index();
  if (ray >= packed.rays) return;
  const int64_t first = packed.offsets[ray];
  const RaySamples<S> own = packed.of_ray(first, packed.offsets[ray + 1] - first);
  composite_ray(own, Passed<S>{packed.sigma + first, own.dt},
                RaySums<S>{out.colour + ray * packed.channels, out.opacity + ray, out.depth + ray,
                           out.weights + first});
}

template <class S>
__global__ void backward(const PackedSamples<S> packed, const S* weights,
                         const RaySumGradients<S> grad, S* grad_sigma, S* grad_colour) {
  const int64_t ray = thread_index();
  if (ray >= packed.rays) return;
  const int64_t first = packed.offsets[ray];
  const RaySamples<S> own = packed.of_ray(first, packed.offsets[ray + 1] - first);
  composite_ray_backward(own, Passed<S>{packed.sigma + first, own.dt}, weights + first,
                         RaySumGradients<S>{grad.colour + ray * packed.channels, grad.opacity + ray,
                                            grad.depth + ray, grad.weights + first},
                         grad_sigma + first, grad_colour + first * packed.channels);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> composite(Tensor sigma, Tensor colour, Tensor t,
                                                     Tensor dt, Tensor offsets) {
  const Device device(sigma);
  return composite_op(sigma, colour, t, dt, offsets, [&](const auto& packed, const auto& out) {
    using S = std::remove_pointer_t<decltype(out.weights)>;
    launch_each(device, forward<S>, packed.rays, 1, packed, out);
  });
}

std::tuple<Tensor, Tensor> composite_backward(Tensor grad_colour, Tensor grad_opacity,
                                              Tensor grad_depth, Tensor grad_weights, Tensor sigma,
                                              Tensor colour, Tensor t, Tensor dt, Tensor offsets,
                                              Tensor weights) {
  const Device device(sigma);
  return composite_backward_op(
      grad_colour, grad_opacity, grad_depth, grad_weights, sigma, colour, t, dt, offsets, weights,
      [&](const auto& packed, const auto* w, const auto& grad, auto* to_sigma, auto* to_colour) {
        using S = std::remove_pointer_t<decltype(to_sigma)>;
        launch_each(device, backward<S>, packed.rays, 1, packed, w, grad, to_sigma, to_colour);
      });
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("composite", TORCH_BOX(&fields::cuda::composite));
  m.impl("composite_backward", TORCH_BOX(&fields::cuda::composite_backward));
}
