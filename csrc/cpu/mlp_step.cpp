// The fused training step of an MLP on given inputs.
#include <torch/csrc/stable/library.h>

#include "cpu/mlp_gradients.h"
#include "cpu/precision.h"
#include "cpu/train_step.h"

namespace fields {
namespace {

template <class Mlp>
double step(const MlpShape& shape, const float* x, const float* targets, int64_t samples, Loss loss,
            const Adam& adam, float* params, float* m, float* v) {
  MlpGradients<Mlp> grads(shape, params, samples);
  Scratch<double> tile_loss(grads.tiles);
  const auto output_gradient = [&](int64_t tile, float* y) {
    tile_loss[tile] = loss_gradient(loss, targets, samples, shape.outputs, tile, y);
  };
  const auto improve = [&](int64_t first, const float* gradient, int64_t count) {
    adam_range(adam, params + first, gradient, m + first, v + first, count, false);
  };
  Phases phases;
  grads.add_to(phases, x, nullptr, output_gradient);
  grads.add_sums_to(phases, improve);
  phases.run();
  double total = 0;
  for (int64_t tile = 0; tile < grads.tiles; ++tile) total += tile_loss[tile];
  return total;
}

Tensor mlp_step(Tensor x, Tensor targets, Tensor params, Tensor params_m, Tensor params_v,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                int64_t loss, int64_t number, double lr, double beta1, double beta2, double eps,
                double weight_decay) {
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "the fused step is float32");
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  STD_TORCH_CHECK(targets.size(0) == x.size(0) && targets.size(1) == channels,
                  "targets must be [samples, channels]");
  STD_TORCH_CHECK(params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of the parameters");
  STD_TORCH_CHECK(number >= 1, "step counts from 1");
  const Adam adam = make_adam(number, lr, beta1, beta2, eps, weight_decay);
  double value = 0;
  with_float_mlp(precision, [&](auto tag) {
    value = step<typename decltype(tag)::type>(
        shape, read<float>(x), read<float>(targets), x.size(0), static_cast<Loss>(loss), adam,
        write<float>(params), write<float>(params_m), write<float>(params_v));
  });
  Tensor out = empty_of(x, {1});
  *write<float>(out) = static_cast<float>(value);
  return out;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) { m.impl("mlp_step", TORCH_BOX(&fields::mlp_step)); }
