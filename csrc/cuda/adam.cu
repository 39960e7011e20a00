// Adam: the op, and the launcher that the fused step shares.
#include "cuda/adam.cuh"

#include <torch/csrc/stable/library.h>

#include "cuda/grid_row.cuh"

namespace fields::cuda {
namespace {

template <int Width>
__global__ void adam_kernel(const Adam adam, float* param, float* grad, float* m, float* v,
                            int64_t count, bool touched_only, bool clear) {
  const int64_t at = thread_index() * Width;
  if (at >= count) return;
  const auto g = load_row<float, Width>(grad + at);
  bool touched = false;
#pragma unroll
  for (int i = 0; i < Width; ++i) touched |= g.value[i] != 0.0f;
  if (touched_only && !touched) return;
  if (clear && touched) store_row(grad + at, Row<float, Width>{});
  auto p = load_row<float, Width>(param + at);
  auto m_row = load_row<float, Width>(m + at), v_row = load_row<float, Width>(v + at);
#pragma unroll
  for (int i = 0; i < Width; ++i) {
    if (touched_only && g.value[i] == 0.0f) continue;
    adam_update(adam, p.value[i], g.value[i], m_row.value[i], v_row.value[i]);
  }
  store_row(param + at, p);
  store_row(m + at, m_row);
  store_row(v + at, v_row);
}

bool aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

}  // namespace

void adam_range(const Device& device, const Adam& adam, float* param, float* grad, float* m,
                float* v, int64_t count, bool touched_only, bool clear) {
  const bool wide = aligned(param) && aligned(grad) && aligned(m) && aligned(v);
  const int64_t vectors = wide ? count / 4 : 0, done = 4 * vectors;
  launch_each(device, adam_kernel<4>, vectors, 1, adam, param, grad, m, v, done, touched_only,
              clear);
  launch_each(device, adam_kernel<1>, count - done, 1, adam, param + done, grad + done, m + done,
              v + done, count - done, touched_only, clear);
}

namespace {

void adam_step(Tensor param, Tensor grad, Tensor m, Tensor v, int64_t step, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(param.scalar_type() == ScalarType::Float, "adam_step is float32");
  STD_TORCH_CHECK(
      grad.numel() == param.numel() && m.numel() == param.numel() && v.numel() == param.numel(),
      "gradient and moments must have the shape of the parameter");
  const Device device(param);
  const Adam adam = make_adam(step, lr, beta1, beta2, eps, weight_decay);
  adam_range(device, adam, write<float>(param), const_cast<float*>(read<float>(grad)),
             write<float>(m), write<float>(v), param.numel(), touched_only, false);
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("adam_step", TORCH_BOX(&fields::cuda::adam_step));
}
