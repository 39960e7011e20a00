// The op of coordinate-aware modulation: a block for each group of rows that is normalised
// together.
//
// A group of one row gets one warp; its features lie across the lanes. Gradients of the grids are
// added with atomics.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/checked_modulation.h"

namespace fields::cuda {
namespace {

constexpr int kMostThreads = 256;

// The sum over all threads of a block, in all of them.
template <class S>
__device__ S block_sum(S value) {
  __shared__ S parts[kMostThreads / 32];
  for (int offset = 16; offset; offset /= 2) value += __shfl_xor_sync(~0u, value, offset);
  if (blockDim.x == 32) return value;
  __syncthreads();  // parts may still be read for the sum before
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  value = S(0);
  for (int i = 0; i < int(blockDim.x) / 32; ++i) value += parts[i];
  return value;
}

template <class S>
struct Norm {
  S mean, scale;
  __device__ S operator()(S h) const { return (h - mean) * scale; }
};

template <class S>
__device__ Norm<S> normaliser(const Modulation& m, const S* h, int64_t count) {
  if (!m.group) return {S(0), S(1)};
  S total = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) total += h[i];
  const S mean = block_sum(total) / S(count);
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x)
    squares += (h[i] - mean) * (h[i] - mean);
  return {mean, S(1) / fields::sqrt(block_sum(squares) / S(count) + S(kNormEps))};
}

template <class S>
__device__ ModulationCell<S> locate_row(const Modulation& m, const S* position) {
  S p[kMaxModulationDims];
  for (int d = 0; d < m.grid.dim; ++d) p[d] = min(max(position[d], S(0)), S(1));
  return locate_knots<S>(m.grid, p);
}

template <class S>
__device__ S interpolated(const Modulation& m, const ModulationCell<S>& cell, const S* grid,
                          int feature) {
  const int channel = m.channels == 1 ? 0 : feature;
  S value = 0;
  for (int c = 0; c < m.grid.corners(); ++c) {
    value = fma(cell.weight[c], grid[int64_t(cell.knot[c]) * m.channels + channel], value);
  }
  return value;
}

template <class S>
struct Grids {
  const S *gamma, *beta;
};

template <class S>
__global__ void forward_kernel(const Modulation m, int64_t rows, const S* h, const S* positions,
                               Grids<S> grids, S* out) {
  const int64_t first = blockIdx.x * rows;
  h += first * m.features;
  out += first * m.features;
  const auto norm = normaliser(m, h, rows * m.features);
  for (int64_t r = 0; r < rows; ++r) {
    const auto cell = locate_row(m, positions + (first + r) * m.grid.dim);
    for (int f = threadIdx.x; f < m.features; f += blockDim.x) {
      const int64_t at = r * m.features + f;
      S slope;
      out[at] = m.activate_at(fma(norm(h[at]), interpolated(m, cell, grids.gamma, f),
                                  interpolated(m, cell, grids.beta, f)),
                              slope);
    }
  }
}

template <class S>
__global__ void backward_kernel(const Modulation m, int64_t rows, const S* grad, const S* h,
                                const S* positions, Grids<S> grids, S* grad_h, S* grad_positions,
                                S* grad_gamma, S* grad_beta) {
  const int64_t first = blockIdx.x * rows;
  h += first * m.features;
  grad += first * m.features;
  grad_h += first * m.features;
  const auto norm = normaliser(m, h, rows * m.features);
  S sum_grad = 0, sum_product = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto cell = locate_row(m, positions + (first + r) * m.grid.dim);
    S row_gamma = 0, row_beta = 0, slopes[kMaxModulationDims] = {};
    for (int f = threadIdx.x; f < m.features; f += blockDim.x) {
      const int64_t at = r * m.features + f;
      const S normal = norm(h[at]), scale = interpolated(m, cell, grids.gamma, f);
      S slope;
      m.activate_at(fma(normal, scale, interpolated(m, cell, grids.beta, f)), slope);
      const S dbeta = grad[at] * slope, dgamma = dbeta * normal;
      const S dnormal = dbeta * scale;
      sum_grad += dnormal;
      sum_product += dnormal * normal;
      grad_h[at] = dnormal;
      const int channel = m.channels == 1 ? 0 : f;
      row_gamma += dgamma;
      row_beta += dbeta;
      for (int c = 0; c < m.grid.corners(); ++c) {
        const int64_t knot = int64_t(cell.knot[c]) * m.channels + channel;
        if (m.channels > 1) {
          atomicAdd(grad_gamma + knot, cell.weight[c] * dgamma);
          atomicAdd(grad_beta + knot, cell.weight[c] * dbeta);
        }
        if (grad_positions) {
          const S along = grids.gamma[knot] * dgamma + grids.beta[knot] * dbeta;
          for (int d = 0; d < m.grid.dim; ++d) {
            slopes[d] += knot_slope<S>(m.grid, cell, c, d) * along;
          }
        }
      }
    }
    if (m.channels == 1) {
      row_gamma = block_sum(row_gamma);
      row_beta = block_sum(row_beta);
      if (int(threadIdx.x) < m.grid.corners()) {
        const int c = threadIdx.x;
        atomicAdd(grad_gamma + cell.knot[c], cell.weight[c] * row_gamma);
        atomicAdd(grad_beta + cell.knot[c], cell.weight[c] * row_beta);
      }
    }
    if (grad_positions) {
      for (int d = 0; d < m.grid.dim; ++d) {
        const S total = block_sum(slopes[d]);
        if (threadIdx.x == 0) grad_positions[(first + r) * m.grid.dim + d] = total;
      }
    }
  }
  if (!m.group) return;
  const S count = S(rows * m.features);
  const S mean_grad = block_sum(sum_grad) / count, mean_product = block_sum(sum_product) / count;
  for (int64_t i = threadIdx.x; i < rows * m.features; i += blockDim.x) {
    grad_h[i] = (grad_h[i] - mean_grad - norm(h[i]) * mean_product) * norm.scale;
  }
}

// Rows of a block, blocks, and threads: of one warp where a row stands alone.
struct Layout {
  explicit Layout(const Modulation& m, int64_t samples)
      : rows(m.group > 0 ? m.group : 1),
        blocks(static_cast<unsigned>(samples / rows)),
        threads(rows == 1 ? 32 : kMostThreads) {}
  int64_t rows;
  unsigned blocks, threads;
};

template <class Body>
void with_dtype(const Tensor& like, const Body& body) {
  is_double(like) ? body(0.0) : body(0.0f);
}

Tensor modulate(Tensor h, Tensor positions, Tensor gamma, Tensor beta, int64_t group,
                int64_t activation, double omega) {
  const Modulation m = checked_modulation(h, positions, gamma, beta, group, activation, omega);
  const Device device(h);
  const Layout layout(m, h.size(0));
  Tensor out = empty_of(h, {h.size(0), h.size(1)});
  with_dtype(h, [&](auto zero) {
    using S = decltype(zero);
    launch(device, forward_kernel<S>, dim3(layout.blocks), dim3(layout.threads), 0, m, layout.rows,
           read<S>(h), read<S>(positions), Grids<S>{read<S>(gamma), read<S>(beta)}, write<S>(out));
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> modulate_backward(Tensor grad, Tensor h,
                                                             Tensor positions, Tensor gamma,
                                                             Tensor beta, int64_t group,
                                                             int64_t activation, double omega,
                                                             bool need_positions) {
  const Modulation m = checked_modulation(h, positions, gamma, beta, group, activation, omega);
  STD_TORCH_CHECK(grad.numel() == h.numel(), "the gradient must have the shape of h");
  const Device device(h);
  const Layout layout(m, h.size(0));
  Tensor grad_h = empty_of(h, {h.size(0), h.size(1)});
  Tensor grad_positions = empty_of(positions, {need_positions ? h.size(0) : 0, positions.size(1)});
  Tensor grad_gamma = torch::stable::new_zeros(gamma, gamma.sizes());
  Tensor grad_beta = torch::stable::new_zeros(beta, beta.sizes());
  with_dtype(h, [&](auto zero) {
    using S = decltype(zero);
    S* below_positions = need_positions ? write<S>(grad_positions) : nullptr;
    launch(device, backward_kernel<S>, dim3(layout.blocks), dim3(layout.threads), 0, m, layout.rows,
           read<S>(grad), read<S>(h), read<S>(positions), Grids<S>{read<S>(gamma), read<S>(beta)},
           write<S>(grad_h), below_positions, write<S>(grad_gamma), write<S>(grad_beta));
  });
  return {grad_h, grad_positions, grad_gamma, grad_beta};
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("modulate", TORCH_BOX(&fields::cuda::modulate));
  m.impl("modulate_backward", TORCH_BOX(&fields::cuda::modulate_backward));
}
