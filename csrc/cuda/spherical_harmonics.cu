// Spherical harmonics of directions: a thread for each direction.
#include "maths/spherical_harmonics.h"

#include <torch/csrc/stable/library.h>

#include "cuda/launch.cuh"

namespace fields::cuda {
namespace {

template <class S>
__global__ void forward(const S* directions, int64_t samples, int degree, S* out) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const S d[3] = {directions[3 * n], directions[3 * n + 1], directions[3 * n + 2]};
  S* to = out + n * degree * degree;
  spherical_harmonics(degree, d, [=](int i, S y) { to[i] = y; });
}

template <class S>
__global__ void backward(const S* grad, const S* directions, int64_t samples, int degree, S* out) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  const S d[3] = {directions[3 * n], directions[3 * n + 1], directions[3 * n + 2]};
  const S* g = grad + n * degree * degree;
  S sum[3] = {};
  spherical_harmonics_backward(degree, d, [=](int i) { return g[i]; }, sum);
  for (int i = 0; i < 3; ++i) out[3 * n + i] = sum[i];
}

int64_t checked_directions(const Tensor& directions, int64_t degree) {
  STD_TORCH_CHECK(directions.dim() == 2 && directions.size(1) == 3, "directions must be [N, 3]");
  STD_TORCH_CHECK(degree >= 1 && degree <= kMostHarmonicDegree, "degree out of range");
  return directions.size(0);
}

Tensor harmonics(Tensor directions, int64_t degree) {
  const int64_t samples = checked_directions(directions, degree);
  const Device device(directions);
  Tensor out = empty_of(directions, {samples, degree * degree});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    launch_each(device, forward<S>, samples, 1, read<S>(directions), samples,
                static_cast<int>(degree), write<S>(out));
  };
  is_double(directions) ? run(0.0) : run(0.0f);
  return out;
}

Tensor harmonics_backward(Tensor grad, Tensor directions, int64_t degree) {
  const int64_t samples = checked_directions(directions, degree);
  STD_TORCH_CHECK(grad.numel() == samples * degree * degree, "grad must be [N, degree^2]");
  const Device device(directions);
  Tensor out = empty_of(directions, {samples, 3});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    launch_each(device, backward<S>, samples, 1, read<S>(grad), read<S>(directions), samples,
                static_cast<int>(degree), write<S>(out));
  };
  is_double(directions) ? run(0.0) : run(0.0f);
  return out;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("spherical_harmonics", TORCH_BOX(&fields::cuda::harmonics));
  m.impl("spherical_harmonics_backward", TORCH_BOX(&fields::cuda::harmonics_backward));
}
