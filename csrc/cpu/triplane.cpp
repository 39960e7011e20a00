// Ops of planes over pairs of axes: features, their jacobian, and the backward of each.
#include <torch/csrc/stable/library.h>

#include "cpu/checked_planes.h"
#include "cpu/parallel.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_planes.h"

namespace fields {
namespace {

void forward(const PlaneShape& shape, const Tensor& coords, const Tensor& planes,
             const Tensor& features, const Tensor* jacobian) {
  const int64_t samples = coords.size(0);
  with_type(coords, [&](auto zero, auto dim) {
    using S = decltype(zero);
    constexpr int D = dim();
    const S *x = read<S>(coords), *texels = read<S>(planes);
    S* out = write<S>(features);
    S* out_jacobian = jacobian ? write<S>(*jacobian) : nullptr;
    parallel_tasks(num_tiles(samples), [&](int64_t t, int) {
      alignas(64) S tile_x[D * kTile];
      load_coords_tile(x, samples, D, t, tile_x);
      const PlaneTile<S, D> tile(shape, tile_x, tile_samples(samples, t));
      const size_t first = size_t(t) * kTile * shape.outputs();
      if (out_jacobian) {
        tile.template encode<true>(texels, out + first, out_jacobian + first * D);
      } else {
        tile.template encode<false>(texels, out + first, nullptr);
      }
    });
  });
}

template <class S, int D>
void coords_gradient(const PlaneShape& shape, const S* x, int64_t samples, const S* planes,
                     const S* grad, const S* grad_jacobian, S* grad_x) {
  parallel_tasks(num_tiles(samples), [&](int64_t t, int) {
    alignas(64) S tile_x[D * kTile];
    load_coords_tile(x, samples, D, t, tile_x);
    const PlaneTile<S, D> tile(shape, tile_x, tile_samples(samples, t));
    const size_t first = size_t(t) * kTile * shape.outputs();
    S* tile_grad_x = grad_x + t * kTile * D;
    if (grad_jacobian) {
      tile.template coords<true>(planes, grad + first, grad_jacobian + first * D, tile_grad_x);
    } else {
      tile.template coords<false>(planes, grad + first, nullptr, tile_grad_x);
    }
  });
}

// A task owns some rows of a plane and looks at every sample, so that nothing is added to by two
// threads, and each texel gets its samples in their order, however many rows a task owns.
template <class S, int D>
void planes_gradient(const PlaneShape& shape, const S* x, int64_t samples, const S* grad,
                     const S* grad_jacobian, S* grad_planes) {
  const int64_t tiles = num_tiles(samples), R = shape.grid.resolution;
  const int64_t wanted = num_workers() > 1 ? 3 * num_workers() : 1;
  const int64_t strips = std::min<int64_t>(R, (wanted + shape.planes() - 1) / shape.planes());
  parallel_tasks(shape.planes() * strips, [&](int64_t task, int) {
    const int plane = static_cast<int>(task / strips);
    const int64_t strip = task % strips;
    const auto first_row = static_cast<uint32_t>(R * strip / strips);
    const auto last_row = static_cast<uint32_t>(R * (strip + 1) / strips);
    S* plane_grad = grad_planes + plane * shape.plane_size();
    const auto scatter = grad_jacobian ? scatter_plane<S, true> : scatter_plane<S, false>;
    for (int64_t t = 0; t < tiles; ++t) {
      alignas(64) S tile_x[D * kTile];
      load_coords_tile(x, samples, D, t, tile_x);
      const size_t first = size_t(t) * kTile * shape.outputs() + shape.first_output(plane);
      scatter(shape, plane_axes(D, plane), tile_x, tile_samples(samples, t), grad + first,
              grad_jacobian ? grad_jacobian + first * D : nullptr, first_row, last_row, plane_grad);
    }
  });
}

// grad_jacobian may be null: the backward of triplane is that of triplane_with_grad at zero.
std::tuple<Tensor, Tensor> backward(const PlaneShape& shape, const Tensor& grad,
                                    const Tensor* grad_jacobian, const Tensor& coords,
                                    const Tensor& planes, bool need_coords, bool need_planes) {
  const int64_t samples = coords.size(0), R = planes.size(1);
  Tensor grad_coords = empty_of(coords, {need_coords ? samples : 0, coords.size(1)});
  Tensor grad_planes = zeros_of(planes, {need_planes ? planes.size(0) : 0, R, R, planes.size(3)});
  with_type(coords, [&](auto zero, auto dim) {
    using S = decltype(zero);
    constexpr int D = dim();
    const S *x = read<S>(coords), *g = read<S>(grad);
    const S* slopes = grad_jacobian ? read<S>(*grad_jacobian) : nullptr;
    if (need_coords) {
      coords_gradient<S, D>(shape, x, samples, read<S>(planes), g, slopes, write<S>(grad_coords));
    }
    if (need_planes) {
      planes_gradient<S, D>(shape, x, samples, g, slopes, write<S>(grad_planes));
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
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("triplane", TORCH_BOX(&fields::triplane));
  m.impl("triplane_with_grad", TORCH_BOX(&fields::triplane_with_grad));
  m.impl("triplane_backward", TORCH_BOX(&fields::triplane_backward));
  m.impl("triplane_with_grad_backward", TORCH_BOX(&fields::triplane_with_grad_backward));
}
