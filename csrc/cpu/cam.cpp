// Ops of the network with coordinate-aware modulation: values, gradients, and the training step.
#include <torch/csrc/stable/library.h>

#include "cpu/checked_modulation.h"
#include "cpu/mlp_gradients.h"
#include "cpu/tile_cam.h"
#include "cpu/train_step.h"

namespace fields {
namespace {

constexpr int kRun = 16;  // tiles of a task

// What all three ops are told about the network.
struct CamCall {
  MlpShape mlp;
  ModulationGrid grid;
  int axes[kMaxModulationDims];
  bool normalise;
  Tensor coords, frequencies, table, params;

  CamCall(const Tensor& coords, const Tensor& frequencies, const Tensor& table,
          const Tensor& params, int64_t width, int64_t depth, int64_t channels, bool bias,
          int64_t activation, int64_t output_activation, int64_t precision, double first_omega,
          double omega, int64_t axis_bits, bool normalise)
      : mlp(),
        grid(),
        axes(),
        normalise(normalise),
        coords(coords),
        frequencies(frequencies),
        table(table),
        params(params) {
    STD_TORCH_CHECK(coords.dim() == 2 && frequencies.dim() == 2 &&
                        frequencies.size(1) == coords.size(1) && coords.size(1) <= 4,
                    "coords must be [N, D] and frequencies [M, D]");
    STD_TORCH_CHECK(precision == 0 && depth >= 1, "the network has hidden layers, in float32");
    const int64_t inputs = frequencies.size(0) ? 2 * frequencies.size(0) : coords.size(1);
    mlp = checked_mlp(inputs, params, width, depth, channels, bias, activation, output_activation,
                      first_omega, omega);
    int64_t dim = 0;
    for (int axis = 0; axis < coords.size(1); ++axis) {
      if (!((axis_bits >> axis) & 1)) continue;
      STD_TORCH_CHECK(dim < kMaxModulationDims, "grids span at most 3 coordinates");
      axes[dim++] = axis;
    }
    grid = checked_knots(table, 2, dim);
    STD_TORCH_CHECK(table.size(0) == depth && table.size(1) == 2 && table.size(2 + dim) == 1,
                    "table must be [depth, 2, knots, 1]");
  }

  template <class S>
  CamShape<S> shape() const {
    return {static_cast<int>(coords.size(1)),
            mlp.outputs,
            mlp,
            grid,
            {axes[0], axes[1], axes[2]},
            normalise,
            static_cast<int>(frequencies.size(0)),
            read<S>(frequencies),
            read<S>(table)};
  }
};

template <class V>
void forward(const CamCall& call, const Tensor& values) {
  using S = ScalarOf<V>;
  const CamShape<S> shape = call.shape<S>();
  const int64_t samples = call.coords.size(0), tiles = num_tiles(samples);
  const S* x = read<S>(call.coords);
  S* out = write<S>(values);
  const typename TileCam<V>::Packed packed(shape, read<S>(call.params), false);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    TileCam<V> network(shape);
    Scratch<S> tile_x(size_t(shape.inputs) * kTile), y(size_t(shape.outputs) * kTile);
    for (int64_t tile = task * kRun; tile < std::min(tiles, (task + 1) * kRun); ++tile) {
      load_tile(x, samples, shape.inputs, tile, tile_x.data());
      network.forward(packed, tile_x.data(), y.data());
      store_tile(y.data(), samples, shape.outputs, tile, out);
    }
  });
}

// Gives each piece of the gradient to the parameters, or to the tables behind them.
template <class S, class Params, class Table>
auto divided(int64_t num_params, const Params& params, const Table& table) {
  return [=](int64_t first, const S* gradient, int64_t count) {
    if (first < num_params) {
      params(first, gradient, count);
    } else {
      table(first - num_params, gradient, count);
    }
  };
}

template <class V>
void backward(const CamCall& call, const Tensor& grad, const Tensor& grad_coords,
              const Tensor& grad_table, const Tensor& grad_params) {
  using S = ScalarOf<V>;
  const CamShape<S> shape = call.shape<S>();
  const int64_t samples = call.coords.size(0);
  const S* above = read<S>(grad);
  S *to_table = write<S>(grad_table), *to_params = write<S>(grad_params);
  MlpGradients<TileCam<V>> grads(shape, read<S>(call.params), samples);
  const auto output_gradient = [&](int64_t tile, S* y) {
    load_tile(above, samples, shape.outputs, tile, y);
  };
  const auto copy_to = [](S* out) {
    return [out](int64_t first, const S* gradient, int64_t count) {
      std::memcpy(out + first, gradient, count * sizeof(S));
    };
  };
  const auto keep = divided<S>(shape.mlp.size(), copy_to(to_params), copy_to(to_table));
  Phases phases;
  grads.add_to(phases, read<S>(call.coords), grad_coords.size(0) ? write<S>(grad_coords) : nullptr,
               output_gradient);
  grads.add_sums_to(phases, keep);
  phases.run();
}

double train_step(const CamCall& call, const float* targets, Loss loss, const Optimiser& optimiser,
                  const State& state) {
  const CamShape<float> shape = call.shape<float>();
  const int64_t samples = call.coords.size(0);
  MlpGradients<TileCam<Pack>> grads(shape, state.params, samples);
  Scratch<double> tile_loss(grads.tiles);
  const auto output_gradient = [&](int64_t tile, float* y) {
    tile_loss[tile] = loss_gradient(loss, targets, samples, shape.outputs, tile, y);
  };
  const auto improve = [](const Adam& adam, float* param, float* m, float* v) {
    return [=](int64_t first, const float* gradient, int64_t count) {
      adam_range(adam, param + first, gradient, m + first, v + first, count, false);
    };
  };
  const auto improve_all = divided<float>(
      shape.mlp.size(), improve(optimiser.params, state.params, state.params_m, state.params_v),
      improve(optimiser.table, state.table, state.table_m, state.table_v));
  Phases phases;
  grads.add_to(phases, read<float>(call.coords), nullptr, output_gradient);
  grads.add_sums_to(phases, improve_all);
  phases.run();
  double total = 0;
  for (int64_t tile = 0; tile < grads.tiles; ++tile) total += tile_loss[tile];
  return total;
}

Tensor cam_mlp(Tensor coords, Tensor frequencies, Tensor table, Tensor params, int64_t width,
               int64_t depth, int64_t channels, bool bias, int64_t activation,
               int64_t output_activation, int64_t precision, double first_omega, double omega,
               int64_t axes, bool normalise) {
  const CamCall call(coords, frequencies, table, params, width, depth, channels, bias, activation,
                     output_activation, precision, first_omega, omega, axes, normalise);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  is_double(coords) ? forward<double>(call, values) : forward<Pack>(call, values);
  return values;
}

std::tuple<Tensor, Tensor, Tensor> cam_mlp_backward(Tensor grad, Tensor coords, Tensor frequencies,
                                                    Tensor table, Tensor params, int64_t width,
                                                    int64_t depth, int64_t channels, bool bias,
                                                    int64_t activation, int64_t output_activation,
                                                    int64_t precision, double first_omega,
                                                    double omega, int64_t axes, bool normalise,
                                                    bool need_coords) {
  const CamCall call(coords, frequencies, table, params, width, depth, channels, bias, activation,
                     output_activation, precision, first_omega, omega, axes, normalise);
  STD_TORCH_CHECK(grad.dim() == 2 && grad.size(0) == coords.size(0) && grad.size(1) == channels,
                  "the gradient must be [samples, channels]");
  Tensor grad_coords = empty_of(coords, {need_coords ? coords.size(0) : 0, coords.size(1)});
  Tensor grad_table = torch::stable::new_empty(table, table.sizes());
  Tensor grad_params = empty_of(params, {params.numel()});
  const auto run = is_double(coords) ? backward<double> : backward<Pack>;
  run(call, grad, grad_coords, grad_table, grad_params);
  return {grad_coords, grad_table, grad_params};
}

Tensor cam_step(Tensor coords, Tensor targets, Tensor frequencies, Tensor table, Tensor table_m,
                Tensor table_v, Tensor params, Tensor params_m, Tensor params_v, int64_t width,
                int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                int64_t axes, bool normalise, int64_t loss, int64_t step, double lr_table,
                double lr_params, double beta1, double beta2, double eps, double weight_decay) {
  const CamCall call(coords, frequencies, table, params, width, depth, channels, bias, activation,
                     output_activation, precision, first_omega, omega, axes, normalise);
  STD_TORCH_CHECK(
      targets.dim() == 2 && targets.size(0) == coords.size(0) && targets.size(1) == channels,
      "targets must be [samples, channels]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  STD_TORCH_CHECK(step >= 1, "step counts from 1");
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0.0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay), false};
  const State state{write<float>(table),  write<float>(table_m),  write<float>(table_v),
                    write<float>(params), write<float>(params_m), write<float>(params_v)};
  Tensor out = empty_of(coords, {1});
  *write<float>(out) = static_cast<float>(
      train_step(call, read<float>(targets), static_cast<Loss>(loss), optimiser, state));
  return out;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("cam_mlp", TORCH_BOX(&fields::cam_mlp));
  m.impl("cam_mlp_backward", TORCH_BOX(&fields::cam_mlp_backward));
  m.impl("cam_step", TORCH_BOX(&fields::cam_step));
}
