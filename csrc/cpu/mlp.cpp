// Ops of the MLP alone.
#include <torch/csrc/stable/library.h>

#include "cpu/mlp_gradients.h"
#include "cpu/precision.h"

namespace fields {
namespace {

// Tiles that one task takes: packing and workspace are paid once for them.
constexpr int kRun = 16;

template <class Mlp>
void forward(const MlpShape& shape, const Tensor& x, const Tensor& params, const Tensor& values) {
  using S = typename Mlp::S;
  const int64_t samples = x.size(0), tiles = num_tiles(samples);
  const S* in = read<S>(x);
  S* out = write<S>(values);
  const typename Mlp::Packed packed(shape, read<S>(params), false);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    Mlp mlp(shape, false);
    Scratch<S> tile_x(size_t(shape.inputs) * kTile), y(size_t(shape.outputs) * kTile);
    for (int64_t tile = task * kRun; tile < std::min(tiles, (task + 1) * kRun); ++tile) {
      load_tile(in, samples, shape.inputs, tile, tile_x.data());
      mlp.forward(packed, tile_x.data(), y.data());
      store_tile(y.data(), samples, shape.outputs, tile, out);
    }
  });
}

template <class Mlp>
void backward(const MlpShape& shape, const Tensor& grad, const Tensor& x, const Tensor& params,
              const Tensor& grad_x, const Tensor& grad_params) {
  using S = typename Mlp::S;
  const int64_t samples = x.size(0);
  const S* grad_values = read<S>(grad);
  S* sums = write<S>(grad_params);
  MlpGradients<Mlp> grads(shape, read<S>(params), samples);
  const auto output_gradient = [&](int64_t tile, S* y) {
    load_tile(grad_values, samples, shape.outputs, tile, y);
  };
  const auto keep = [&](int64_t first, const S* gradient, int64_t count) {
    std::memcpy(sums + first, gradient, count * sizeof(S));
  };
  Phases phases;
  grads.add_to(phases, read<S>(x), write<S>(grad_x), output_gradient);
  grads.add_sums_to(phases, keep);
  phases.run();
}

Tensor mlp(Tensor x, Tensor params, int64_t width, int64_t depth, int64_t channels, bool bias,
           int64_t activation, int64_t output_activation, int64_t precision, double first_omega,
           double omega) {
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  Tensor values = empty_of(x, {x.size(0), channels});
  with_mlp(x, precision,
           [&](auto tag) { forward<typename decltype(tag)::type>(shape, x, params, values); });
  return values;
}

std::tuple<Tensor, Tensor> mlp_backward(Tensor grad, Tensor x, Tensor params, int64_t width,
                                        int64_t depth, int64_t channels, bool bias,
                                        int64_t activation, int64_t output_activation,
                                        int64_t precision, double first_omega, double omega) {
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  Tensor grad_x = empty_of(x, {x.size(0), x.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  with_mlp(x, precision, [&](auto tag) {
    backward<typename decltype(tag)::type>(shape, grad, x, params, grad_x, grad_params);
  });
  return {grad_x, grad_params};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("mlp", TORCH_BOX(&fields::mlp));
  m.impl("mlp_backward", TORCH_BOX(&fields::mlp_backward));
}
