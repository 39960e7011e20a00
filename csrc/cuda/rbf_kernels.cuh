// The kernels of the Gaussian layer. Formulas as in cpu/tile_rbf.h and cpu/tile_rbf_with_grad.h.
//
// `ready` is the flat parameter vector with precisions in the place of their logarithms. Sums over
// samples are cut into slices and added in order, so that results do not depend on chance.
#pragma once

#include "cuda/launch.cuh"
#include "maths/rbf.h"

namespace fields::cuda {

constexpr int kOutputsAtOnce = 4;  // sums that a thread keeps in registers

// Views of the ready parameters.
template <class S>
struct RbfParams {
  RbfShape shape;
  const S* ready;

  __device__ S centre(int i, int d) const { return ready[int64_t(i) * shape.inputs + d]; }
  __device__ S precision(int i, int d) const {
    return ready[shape.table() + int64_t(i) * shape.inputs + d];
  }
  __device__ S weight(int o, int i) const {
    return ready[shape.weight_offset() + int64_t(o) * shape.kernels + i];
  }
  __device__ S bias(int o) const { return ready[shape.bias_offset() + o]; }
  __device__ S affine(int o, int d) const {
    return shape.affine ? ready[shape.affine_offset() + int64_t(o) * shape.inputs + d] : S(0);
  }
  __device__ S scale() const { return S(-2 * shape.factor); }
};

template <class S>
__global__ void ready_kernel(RbfShape shape, const S* params, S* ready) {
  const int64_t i = thread_index();
  if (i >= shape.size()) return;
  ready[i] = i >= shape.table() && i < shape.weight_offset() ? exp(params[i]) : params[i];
}

// A thread takes a sample; all share the parameters, in shared memory where they fit. Slopes of the
// output activation [samples][outputs] and phi [kernels][samples] unless they are null.
template <class S>
__global__ void values_kernel(RbfParams<S> params, bool staged, const S* x, int64_t samples,
                              S* values, S* slopes, S* phi) {
  extern __shared__ double shared[];  // double, for its alignment
  const RbfShape& shape = params.shape;
  if (staged) {
    S* copy = reinterpret_cast<S*>(shared);
    for (int64_t i = threadIdx.x; i < shape.size(); i += blockDim.x) copy[i] = params.ready[i];
    __syncthreads();
    params.ready = copy;
  }
  const int64_t s = thread_index();
  if (s >= samples) return;
  const S* f = x + s * shape.inputs;
  for (int first = 0; first < shape.outputs; first += kOutputsAtOnce) {
    S sum[kOutputsAtOnce] = {};
    for (int i = 0; i < shape.kernels; ++i) {
      S r = S(0);
      for (int d = 0; d < shape.inputs; ++d) {
        const S difference = f[d] - params.centre(i, d);
        r = fma(params.precision(i, d) * difference, difference, r);
      }
      const S value = gaussian(r, S(shape.factor));
      if (phi && first == 0) phi[i * samples + s] = value;
#pragma unroll
      for (int j = 0; j < kOutputsAtOnce; ++j) {
        if (first + j < shape.outputs) sum[j] = fma(params.weight(first + j, i), value, sum[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < kOutputsAtOnce; ++j) {
      const int o = first + j;
      if (o >= shape.outputs) break;
      S z = sum[j] + params.bias(o), slope;
      if (shape.affine) {
        for (int d = 0; d < shape.inputs; ++d) z = fma(params.affine(o, d), f[d], z);
      }
      values[s * shape.outputs + o] = activate(shape.output, z, slope);
      if (slopes) slopes[s * shape.outputs + o] = slope;
    }
  }
}

// Of one number (sample, output, feature): K, and the jacobian unless it is null.
template <class S>
__global__ void jacobian_kernel(RbfParams<S> params, const S* x, int64_t samples, const S* slopes,
                                const S* phi, S* before, S* jacobian) {
  const RbfShape& shape = params.shape;
  const int64_t at = thread_index();
  if (at >= samples * shape.outputs * shape.inputs) return;
  const int d = static_cast<int>(at % shape.inputs);
  const int64_t row = at / shape.inputs, s = row / shape.outputs;
  const int o = static_cast<int>(row % shape.outputs);
  const S f = x[s * shape.inputs + d];
  S sum = S(0);
  for (int i = 0; i < shape.kernels; ++i) {
    sum = fma(params.weight(o, i) * phi[i * samples + s],
              params.precision(i, d) * (f - params.centre(i, d)), sum);
  }
  sum = fma(params.scale(), sum, params.affine(o, d));
  if (before) before[at] = sum;
  if (jacobian) jacobian[at] = sum * slopes[row];
}

// Of one (sample, output): gradients before the output activation.
template <class S>
__global__ void before_activation_kernel(RbfShape shape, int64_t rows, const S* values,
                                         const S* slopes, const S* grad, const S* grad_jacobian,
                                         const S* before, S* dz, S* dslopes) {
  const int64_t row = thread_index();
  if (row >= rows) return;
  const S slope = slopes[row];
  S bent = S(0);
  for (int64_t d = 0; grad_jacobian && d < shape.inputs; ++d) {
    const int64_t at = row * shape.inputs + d;
    bent = fma(grad_jacobian[at], before[at], bent);
    dslopes[at] = grad_jacobian[at] * slope;
  }
  dz[row] = fma(grad[row], slope, curvature(shape.output, values[row], slope) * bent);
}

// dz_o less what the slopes ask of kernel i: d loss / d (W_oi phi_i).
template <class S>
__device__ S through_slopes(const RbfParams<S>& params, int o, int i, int64_t s, const S* x,
                            const S* dz, const S* dslopes) {
  const RbfShape& shape = params.shape;
  const int64_t row = s * shape.outputs + o;
  S sum = S(0);
  for (int d = 0; dslopes && d < shape.inputs; ++d) {
    sum = fma(dslopes[row * shape.inputs + d],
              params.precision(i, d) * (x[s * shape.inputs + d] - params.centre(i, d)), sum);
  }
  return fma(params.scale(), sum, dz[row]);
}

// A thread takes a sample, grid.y the kernel: g = -2 factor phi d loss / d phi, [kernels][samples].
template <class S>
__global__ void kernel_grad_kernel(RbfParams<S> params, const S* x, int64_t samples, const S* phi,
                                   const S* dz, const S* dslopes, S* g) {
  const int64_t s = thread_index();
  const int i = blockIdx.y;
  if (s >= samples) return;
  S sum = S(0);
  for (int o = 0; o < params.shape.outputs; ++o) {
    sum = fma(params.weight(o, i), through_slopes(params, o, i, s, x, dz, dslopes), sum);
  }
  g[i * samples + s] = params.scale() * phi[i * samples + s] * sum;
}

// What stands beside g (F - mu) in d loss / d F through the slopes.
template <class S>
__device__ S extra(const RbfParams<S>& params, int i, int d, int64_t s, S phi, const S* dslopes) {
  S sum = S(0);
  for (int o = 0; dslopes && o < params.shape.outputs; ++o) {
    const int64_t at = (s * params.shape.outputs + o) * params.shape.inputs + d;
    sum = fma(params.weight(o, i), dslopes[at], sum);
  }
  return params.scale() * phi * sum;
}

// Of one (sample, feature). grad_x may be x: a thread reads only the number that it writes.
template <class S>
__global__ void grad_x_kernel(RbfParams<S> params, const S* x, int64_t samples, const S* phi,
                              const S* g, const S* dz, const S* dslopes, S* grad_x) {
  const RbfShape& shape = params.shape;
  const int64_t at = thread_index();
  if (at >= samples * shape.inputs) return;
  const int d = static_cast<int>(at % shape.inputs);
  const int64_t s = at / shape.inputs;
  const S f = x[at];
  S sum = S(0);
  for (int i = 0; i < shape.kernels; ++i) {
    const S e = fma(g[i * samples + s], f - params.centre(i, d),
                    extra(params, i, d, s, phi[i * samples + s], dslopes));
    sum = fma(params.precision(i, d), e, sum);
  }
  for (int o = 0; shape.affine && o < shape.outputs; ++o) {
    sum = fma(params.affine(o, d), dz[s * shape.outputs + o], sum);
  }
  grad_x[at] = sum;
}

constexpr int kFeatureLanes = 32;  // of a block of centres_kernel
constexpr int kSampleLanes = 8;

// A block sums over a slice of the samples (grid.z) for one kernel (grid.x) and 32 features
// (grid.y): partial [slices][2][kernels][inputs], centres then log precisions.
template <class S>
__global__ void centres_kernel(RbfParams<S> params, const S* x, int64_t samples, const S* phi,
                               const S* g, const S* dslopes, S* partial) {
  __shared__ S sums[2][kSampleLanes][kFeatureLanes];
  const RbfShape& shape = params.shape;
  const int i = blockIdx.x, d = blockIdx.y * kFeatureLanes + threadIdx.x;
  const int64_t begin = samples * blockIdx.z / gridDim.z;
  const int64_t end = samples * (blockIdx.z + 1) / gridDim.z;
  S first = S(0), second = S(0);
  if (d < shape.inputs) {
    const S centre = params.centre(i, d);
    for (int64_t s = begin + threadIdx.y; s < end; s += kSampleLanes) {
      const S difference = x[s * shape.inputs + d] - centre;
      const S plain = g[i * samples + s] * difference;
      const S more = extra(params, i, d, s, phi[i * samples + s], dslopes);
      first += plain + more;
      second = fma(fma(S(0.5), plain, more), difference, second);
    }
  }
  sums[0][threadIdx.y][threadIdx.x] = first;
  sums[1][threadIdx.y][threadIdx.x] = second;
  __syncthreads();
  if (threadIdx.y != 0 || d >= shape.inputs) return;
  for (int lane = 1; lane < kSampleLanes; ++lane) {
    first += sums[0][lane][threadIdx.x];
    second += sums[1][lane][threadIdx.x];
  }
  S* out = partial + blockIdx.z * 2 * shape.table() + int64_t(i) * shape.inputs + d;
  out[0] = -params.precision(i, d) * first;
  out[shape.table()] = params.precision(i, d) * second;
}

// A block sums over all samples for one unit of the linear layer (grid.x; the last is the bias) and
// one output (grid.y).
template <class S>
__global__ void linear_kernel(RbfParams<S> params, const S* x, int64_t samples, const S* phi,
                              const S* dz, const S* dslopes, S* grad_params) {
  __shared__ S parts[256];
  const RbfShape& shape = params.shape;
  const int unit = blockIdx.x, o = blockIdx.y, d = unit - shape.kernels;
  S sum = S(0);
  for (int64_t s = threadIdx.x; s < samples; s += 256) {
    const int64_t row = s * shape.outputs + o;
    if (unit == shape.units()) {
      sum += dz[row];
    } else if (unit < shape.kernels) {
      sum = fma(phi[unit * samples + s], through_slopes(params, o, unit, s, x, dz, dslopes), sum);
    } else {
      sum = fma(dz[row], x[s * shape.inputs + d], sum);
      if (dslopes) sum += dslopes[row * shape.inputs + d];
    }
  }
  parts[threadIdx.x] = sum;
  for (int distance = 128; distance > 0; distance /= 2) {
    __syncthreads();
    if (threadIdx.x < distance) parts[threadIdx.x] += parts[threadIdx.x + distance];
  }
  if (threadIdx.x != 0) return;
  const int64_t at = unit == shape.units() ? shape.bias_offset() + o
                     : d < 0 ? shape.weight_offset() + int64_t(o) * shape.kernels + unit
                             : shape.affine_offset() + int64_t(o) * shape.inputs + d;
  grad_params[at] = parts[0];
}

// out[i] = the sum over slices of partial[slice][i], in order
template <class S>
__global__ void sum_slices_kernel(const S* partial, int slices, int64_t size, S* out) {
  const int64_t i = thread_index();
  if (i >= size) return;
  S sum = S(0);
  for (int slice = 0; slice < slices; ++slice) sum += partial[slice * size + i];
  out[i] = sum;
}

}  // namespace fields::cuda
