// The fused training step of hash grid + MLP, and Adam alone.
#include <torch/csrc/stable/library.h>

#include "cpu/precision.h"
#include "cpu/train_step.h"

namespace fields {
namespace {

Tensor grid_mlp_step(Tensor coords, Tensor targets, Tensor table, Tensor table_m, Tensor table_v,
                     Tensor params, Tensor params_m, Tensor params_v, Tensor workspace,
                     int64_t num_levels, int64_t base_resolution, double growth,
                     int64_t log2_table_size, bool smoothstep, int64_t width, int64_t depth,
                     int64_t channels, bool bias, int64_t activation, int64_t output_activation,
                     int64_t precision, double first_omega, double omega, int64_t loss,
                     int64_t step, double lr_table, double lr_params, double beta1, double beta2,
                     double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(coords.scalar_type() == ScalarType::Float, "the fused step is float32");
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  STD_TORCH_CHECK(targets.size(0) == coords.size(0) && targets.size(1) == channels,
                  "targets must be [samples, channels]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  STD_TORCH_CHECK(step >= 1 && workspace.dim() == 2, "step counts from 1; workspace is a matrix");
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0.0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
                            touched_only};
  const State state{write<float>(table),  write<float>(table_m),  write<float>(table_v),
                    write<float>(params), write<float>(params_m), write<float>(params_v)};
  double value = 0;
  with_float_mlp(precision, [&](auto tag) {
    value = train_step<typename decltype(tag)::type>(
        grid, coords.size(1), table.size(1), shape, read<float>(coords), read<float>(targets),
        coords.size(0), static_cast<Loss>(loss), optimiser, state, write<float>(workspace),
        workspace.size(0), workspace.size(1));
  });
  Tensor out = empty_of(coords, {1});
  *write<float>(out) = static_cast<float>(value);
  return out;
}

void adam_step(Tensor param, Tensor grad, Tensor m, Tensor v, int64_t step, double lr, double beta1,
               double beta2, double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(grad.numel() == param.numel() && m.numel() == param.numel() &&
                      v.numel() == param.numel() && step >= 1,
                  "gradient and moments must have the shape of the parameter");
  const Adam adam = make_adam(step, lr, beta1, beta2, eps, weight_decay);
  float* p = write<float>(param);
  const float* g = read<float>(grad);
  float* first = write<float>(m);
  float* second = write<float>(v);
  const int64_t count = param.numel();
  constexpr int64_t kChunk = 1 << 15;
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    const int64_t begin = task * kChunk;
    adam_range(adam, p + begin, g + begin, first + begin, second + begin,
               std::min(kChunk, count - begin), touched_only);
  });
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("grid_mlp_step", TORCH_BOX(&fields::grid_mlp_step));
  m.impl("adam_step", TORCH_BOX(&fields::adam_step));
}
