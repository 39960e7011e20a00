// Fourier features: a thread computes one cosine and its sine.
#include "maths/fourier.h"

#include <torch/csrc/stable/library.h>

#include "cuda/launch.cuh"

namespace fields::cuda {
namespace {

template <class S>
__global__ void fourier_kernel(const S* coords, const S* frequencies, int dim, int64_t count,
                               int64_t size, S* out) {
  const int64_t i = thread_index();
  if (i >= size) return;
  const int64_t n = i / count, m = i % count;
  S turns = S(0), cosine, sine;
  for (int d = 0; d < dim; ++d) turns = fma(coords[n * dim + d], frequencies[m * dim + d], turns);
  fourier_pair(turns, cosine, sine);
  out[n * 2 * count + m] = cosine;
  out[n * 2 * count + count + m] = sine;
}

Tensor fourier(Tensor coords, Tensor frequencies) {
  STD_TORCH_CHECK(
      coords.dim() == 2 && frequencies.dim() == 2 && coords.size(1) == frequencies.size(1),
      "coords must be [N, D] and frequencies [M, D]");
  const int64_t points = coords.size(0), count = frequencies.size(0);
  const Device device(coords);
  Tensor out = empty_of(coords, {points, 2 * count});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    launch_each(device, fourier_kernel<S>, points * count, 1, read<S>(coords), read<S>(frequencies),
                static_cast<int>(coords.size(1)), count, points * count, write<S>(out));
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return out;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) { m.impl("fourier", TORCH_BOX(&fields::cuda::fourier)); }
