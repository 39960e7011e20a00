// Ops of planes over pairs of axes: features, their jacobian, and the backward of each.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/checked_planes.h"
#include "cuda/grid_row.cuh"

namespace fields::cuda {
namespace {

// `plane` is at the channel that is read.
template <class S>
__device__ __forceinline__ PlaneSample<S> read_plane(const PlaneShape& shape, const S* plane,
                                                     const PlaneAxis<S>& a, const PlaneAxis<S>& b) {
  S texel[2][2];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
#pragma unroll
    for (int i = 0; i < 2; ++i) texel[j][i] = plane[shape.texel(a.texel[i], b.texel[j])];
  }
  return interpolate(texel, a, b);
}

template <class S, int D>
__device__ __forceinline__ void locate(const PlaneShape& shape, const S* coords, int64_t n,
                                       PlaneAxis<S> (&axes)[D]) {
  S x[D];
  load_coords(coords, n, x);
#pragma unroll
  for (int d = 0; d < D; ++d) axes[d] = locate_on_axis(shape.grid, x[d]);
}

// A thread is one channel of one sample: neighbours read neighbouring channels of the same texels.
template <class S, int D, bool WithGrad>
__global__ void encode(PlaneShape shape, const S* coords, int64_t samples, const S* planes,
                       S* features, S* jacobian) {
  const int64_t n = thread_index() / shape.channels;
  const int c = static_cast<int>(thread_index() % shape.channels);
  if (n >= samples) return;
  PlaneAxis<S> axes[D];
  locate(shape, coords, n, axes);
  S value = S(0), slope[D] = {};
#pragma unroll
  for (int p = 0; p < num_planes(D); ++p) {
    const AxisPair pair = plane_axes(D, p);
    const auto at =
        read_plane(shape, planes + p * shape.plane_size() + c, axes[pair.a], axes[pair.b]);
    value += at.value;
    slope[pair.a] += at.along_a;
    slope[pair.b] += at.along_b;
    if (shape.sum && p + 1 < num_planes(D)) continue;
    const int64_t out = n * shape.outputs() + shape.first_output(p) + c;
    features[out] = value;
    value = S(0);
#pragma unroll
    for (int d = 0; d < D; ++d) {
      if constexpr (WithGrad) jacobian[out * D + d] = slope[d];
      slope[d] = S(0);
    }
  }
}

// A thread is one channel of one sample. grad_jacobian is read only where WithGrad.
template <class S, int D, bool WithGrad>
__global__ void scatter(PlaneShape shape, const S* coords, int64_t samples, const S* grad,
                        const S* grad_jacobian, S* grad_planes) {
  const int64_t n = thread_index() / shape.channels;
  const int c = static_cast<int>(thread_index() % shape.channels);
  if (n >= samples) return;
  PlaneAxis<S> axes[D];
  locate(shape, coords, n, axes);
#pragma unroll
  for (int p = 0; p < num_planes(D); ++p) {
    const AxisPair pair = plane_axes(D, p);
    const PlaneAxis<S>&a = axes[pair.a], &b = axes[pair.b];
    const int64_t out = n * shape.outputs() + shape.first_output(p) + c;
    const S g = grad[out];
    S* plane = grad_planes + p * shape.plane_size() + c;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      S along_row = b.weight[j] * g, along_column = S(0);
      if constexpr (WithGrad) {
        along_column = b.weight[j] * grad_jacobian[out * D + pair.a];
        along_row = fma(b.slope[j], grad_jacobian[out * D + pair.b], along_row);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const S share = a.weight[i] * along_row + a.slope[i] * along_column;
        atomicAdd(plane + shape.texel(a.texel[i], b.texel[j]), share);
      }
    }
  }
}

// A thread is one sample: it sums over all channels.
template <class S, int D, bool WithGrad>
__global__ void coords_gradient(PlaneShape shape, const S* coords, int64_t samples, const S* planes,
                                const S* grad, const S* grad_jacobian, S* grad_coords) {
  const int64_t n = thread_index();
  if (n >= samples) return;
  PlaneAxis<S> axes[D];
  locate(shape, coords, n, axes);
  S total[D] = {};
#pragma unroll
  for (int p = 0; p < num_planes(D); ++p) {
    const AxisPair pair = plane_axes(D, p);
    const S* plane = planes + p * shape.plane_size();
    const int64_t first = n * shape.outputs() + shape.first_output(p);
    for (int c = 0; c < shape.channels; ++c) {
      const auto at = read_plane(shape, plane + c, axes[pair.a], axes[pair.b]);
      const S g = grad[first + c];
      total[pair.a] = fma(g, at.along_a, total[pair.a]);
      total[pair.b] = fma(g, at.along_b, total[pair.b]);
      if constexpr (WithGrad) {
        const S* slopes = grad_jacobian + (first + c) * D;
        total[pair.a] = fma(slopes[pair.b], at.along_both, total[pair.a]);
        total[pair.b] = fma(slopes[pair.a], at.along_both, total[pair.b]);
      }
    }
  }
#pragma unroll
  for (int d = 0; d < D; ++d) grad_coords[n * D + d] = total[d];
}

void forward(const PlaneShape& shape, const Tensor& coords, const Tensor& planes,
             const Tensor& features, const Tensor* jacobian) {
  const Device device(coords);
  const int64_t samples = coords.size(0), threads = samples * shape.channels;
  with_type(coords, [&](auto zero, auto dim) {
    using S = decltype(zero);
    constexpr int D = decltype(dim)::value;
    const auto kernel = jacobian ? encode<S, D, true> : encode<S, D, false>;
    launch_each(device, kernel, threads, 1, shape, read<S>(coords), samples, read<S>(planes),
                write<S>(features), jacobian ? write<S>(*jacobian) : nullptr);
  });
}

// grad_jacobian may be null: the backward of triplane is that of triplane_with_grad at zero.
std::tuple<Tensor, Tensor> backward(const PlaneShape& shape, const Tensor& grad,
                                    const Tensor* grad_jacobian, const Tensor& coords,
                                    const Tensor& planes, bool need_coords, bool need_planes) {
  const Device device(coords);
  const int64_t samples = coords.size(0), R = planes.size(1);
  Tensor grad_coords = empty_of(coords, {need_coords ? samples : 0, coords.size(1)});
  Tensor grad_planes = zeros_of(planes, {need_planes ? planes.size(0) : 0, R, R, planes.size(3)});
  with_type(coords, [&](auto zero, auto dim) {
    using S = decltype(zero);
    constexpr int D = decltype(dim)::value;
    const S *x = read<S>(coords), *g = read<S>(grad);
    const S* slopes = grad_jacobian ? read<S>(*grad_jacobian) : nullptr;
    if (need_coords) {
      const auto kernel =
          grad_jacobian ? coords_gradient<S, D, true> : coords_gradient<S, D, false>;
      launch_each(device, kernel, samples, 1, shape, x, samples, read<S>(planes), g, slopes,
                  write<S>(grad_coords));
    }
    if (need_planes) {
      const auto kernel = grad_jacobian ? scatter<S, D, true> : scatter<S, D, false>;
      launch_each(device, kernel, samples * shape.channels, 1, shape, x, samples, g, slopes,
                  write<S>(grad_planes));
    }
  });
  return {grad_coords, grad_planes};
}

Tensor triplane(Tensor coords, Tensor planes, bool sum, bool align_corners, bool zero_padding) {
  const PlaneShape shape = checked_planes(coords, planes, sum, align_corners, zero_padding);
  Tensor features = empty_of(coords, {coords.size(0), shape.outputs()});
  forward(shape, coords, planes, features, nullptr);
  return features;
}

std::tuple<Tensor, Tensor> triplane_with_grad(Tensor coords, Tensor planes, bool sum,
                                              bool align_corners, bool zero_padding) {
  const PlaneShape shape = checked_planes(coords, planes, sum, align_corners, zero_padding);
  Tensor features = empty_of(coords, {coords.size(0), shape.outputs()});
  Tensor jacobian = empty_of(coords, {coords.size(0), shape.outputs(), coords.size(1)});
  forward(shape, coords, planes, features, &jacobian);
  return {features, jacobian};
}

std::tuple<Tensor, Tensor> triplane_backward(Tensor grad, Tensor coords, Tensor planes, bool sum,
                                             bool align_corners, bool zero_padding,
                                             bool need_coords, bool need_planes) {
  const PlaneShape shape = checked_planes(coords, planes, sum, align_corners, zero_padding);
  return backward(shape, grad, nullptr, coords, planes, need_coords, need_planes);
}

std::tuple<Tensor, Tensor> triplane_with_grad_backward(Tensor grad, Tensor grad_jacobian,
                                                       Tensor coords, Tensor planes, bool sum,
                                                       bool align_corners, bool zero_padding,
                                                       bool need_coords, bool need_planes) {
  const PlaneShape shape = checked_planes(coords, planes, sum, align_corners, zero_padding);
  return backward(shape, grad, &grad_jacobian, coords, planes, need_coords, need_planes);
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("triplane", TORCH_BOX(&fields::cuda::triplane));
  m.impl("triplane_with_grad", TORCH_BOX(&fields::cuda::triplane_with_grad));
  m.impl("triplane_backward", TORCH_BOX(&fields::cuda::triplane_backward));
  m.impl("triplane_with_grad_backward", TORCH_BOX(&fields::cuda::triplane_with_grad_backward));
}
