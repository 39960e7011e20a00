// Ops of the Gaussian kernels alone: values, values with their jacobian, and the backward of each.
#include <torch/csrc/stable/library.h>

#include "cpu/checked_rbf.h"
#include "cpu/parallel.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_rbf_with_grad.h"

namespace fields {
namespace {

// Tiles that one task takes: workspace is paid once for them.
constexpr int kRun = 16;

template <class V>
void forward(const RbfShape& shape, const Tensor& x, const Tensor& params, const Tensor& values) {
  using S = ScalarOf<V>;
  const int64_t samples = x.size(0), tiles = num_tiles(samples);
  const S* in = read<S>(x);
  S* out = write<S>(values);
  const PackedRbf<V> packed(shape, read<S>(params), false);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    TileRbf<V> rbf(shape);
    Scratch<S> tile_x(size_t(shape.inputs) * kTile), y(size_t(shape.outputs) * kTile);
    for (int64_t tile = task * kRun; tile < std::min(tiles, (task + 1) * kRun); ++tile) {
      load_tile(in, samples, shape.inputs, tile, tile_x.data());
      rbf.forward(packed, tile_x.data(), y.data());
      store_tile(y.data(), samples, shape.outputs, tile, out);
    }
  });
}

template <class V>
void forward_with_grad(const RbfShape& shape, const Tensor& x, const Tensor& params,
                       const Tensor& values, const Tensor& jacobian) {
  using S = ScalarOf<V>;
  const int64_t samples = x.size(0), tiles = num_tiles(samples);
  const int slopes = shape.outputs * shape.inputs;
  const S* in = read<S>(x);
  S *out = write<S>(values), *out_jacobian = write<S>(jacobian);
  const PackedRbf<V> packed(shape, read<S>(params), false);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    TileRbfWithGrad<V> rbf(shape);
    Scratch<S> tile_x(size_t(shape.inputs) * kTile), y(size_t(shape.outputs) * kTile);
    Scratch<S> tile_jacobian(size_t(slopes) * kTile);
    for (int64_t tile = task * kRun; tile < std::min(tiles, (task + 1) * kRun); ++tile) {
      load_tile(in, samples, shape.inputs, tile, tile_x.data());
      rbf.forward_with_grad(packed, tile_x.data(), y.data(), tile_jacobian.data());
      store_tile(y.data(), samples, shape.outputs, tile, out);
      store_tile(tile_jacobian.data(), samples, slopes, tile, out_jacobian);
    }
  });
}

// Sums the gradient of params over groups of tiles, in order. body(rbf, packed, tile, x, sums)
// turns x [inputs][kTile] into its gradient.
template <class Tile, class Body>
void backward(const RbfShape& shape, const Tensor& x, const Tensor& params, const Tensor& grad_x,
              const Tensor& grad_params, const Body& body) {
  using S = typename Tile::S;
  const int64_t samples = x.size(0), tiles = num_tiles(samples);
  const int64_t groups = num_groups(tiles);
  const S* in = read<S>(x);
  S* out = write<S>(grad_x);
  const typename Tile::Packed packed(shape, read<S>(params), true);
  const size_t stride = Tile::gradient_size(shape);
  Scratch<S> partial(groups * stride);
  partial.zero();
  parallel_tasks(groups, [&](int64_t group, int) {
    Tile rbf(shape);
    Scratch<S> tile_x(size_t(shape.inputs) * kTile);
    for (int64_t tile = tiles * group / groups; tile < tiles * (group + 1) / groups; ++tile) {
      load_tile(in, samples, shape.inputs, tile, tile_x.data());
      body(rbf, packed, tile, tile_x.data(), partial.data() + group * stride);
      store_tile(tile_x.data(), samples, shape.inputs, tile, out);
    }
  });
  for (int64_t group = 0; group < groups; ++group) {
    Tile::add_gradients(shape, partial.data() + group * stride, write<S>(grad_params));
  }
}

Tensor rbf(Tensor x, Tensor params, int64_t kernels, int64_t channels, bool affine, double factor,
           int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  Tensor values = empty_of(x, {x.size(0), channels});
  const auto run = [&](auto zero) { forward<LanesOf<decltype(zero)>>(shape, x, params, values); };
  is_double(x) ? run(0.0) : run(0.0f);
  return values;
}

std::tuple<Tensor, Tensor> rbf_with_grad(Tensor x, Tensor params, int64_t kernels, int64_t channels,
                                         bool affine, double factor, int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  Tensor values = empty_of(x, {x.size(0), channels});
  Tensor jacobian = empty_of(x, {x.size(0), channels, x.size(1)});
  const auto run = [&](auto zero) {
    forward_with_grad<LanesOf<decltype(zero)>>(shape, x, params, values, jacobian);
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {values, jacobian};
}

std::tuple<Tensor, Tensor> rbf_backward(Tensor grad, Tensor x, Tensor params, int64_t kernels,
                                        int64_t channels, bool affine, double factor,
                                        int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  Tensor grad_x = empty_of(x, {x.size(0), x.size(1)});
  Tensor grad_params = zeros_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using Tile = TileRbf<LanesOf<decltype(zero)>>;
    using S = typename Tile::S;
    const S* grad_values = read<S>(grad);
    backward<Tile>(shape, x, params, grad_x, grad_params,
                   [&](Tile& rbf, const auto& packed, int64_t tile, S* tile_x, S* sums) {
                     Scratch<S> y(size_t(shape.outputs) * kTile);
                     rbf.forward(packed, tile_x, y.data());
                     load_tile(grad_values, x.size(0), shape.outputs, tile, y.data());
                     rbf.backward(packed, tile_x, y.data(), sums, tile_x);
                   });
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {grad_x, grad_params};
}

std::tuple<Tensor, Tensor> rbf_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor x,
                                                  Tensor params, int64_t kernels, int64_t channels,
                                                  bool affine, double factor,
                                                  int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  Tensor grad_x = empty_of(x, {x.size(0), x.size(1)});
  Tensor grad_params = zeros_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using Tile = TileRbfWithGrad<LanesOf<decltype(zero)>>;
    using S = typename Tile::S;
    const int slopes = shape.outputs * shape.inputs;
    const S *grad_values = read<S>(grad), *grad_slopes = read<S>(grad_jacobian);
    backward<Tile>(shape, x, params, grad_x, grad_params,
                   [&](Tile& rbf, const auto& packed, int64_t tile, S* tile_x, S* sums) {
                     const size_t size = size_t(shape.outputs) * kTile;
                     Scratch<S> y(size), dy(size), jacobian(size_t(slopes) * kTile);
                     rbf.forward_with_grad(packed, tile_x, y.data(), jacobian.data());
                     load_tile(grad_values, x.size(0), shape.outputs, tile, dy.data());
                     load_tile(grad_slopes, x.size(0), slopes, tile, jacobian.data());
                     rbf.backward_with_grad(packed, tile_x, y.data(), dy.data(), jacobian.data(),
                                            sums, tile_x);
                   });
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {grad_x, grad_params};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("rbf", TORCH_BOX(&fields::rbf));
  m.impl("rbf_with_grad", TORCH_BOX(&fields::rbf_with_grad));
  m.impl("rbf_backward", TORCH_BOX(&fields::rbf_backward));
  m.impl("rbf_with_grad_backward", TORCH_BOX(&fields::rbf_with_grad_backward));
}
