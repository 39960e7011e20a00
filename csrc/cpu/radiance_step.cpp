// The ops of a radiance field's training step: on MLPs, and on Gaussian kernels.
#include "cpu/radiance_step.h"

#include <torch/csrc/stable/library.h>

#include "cpu/precision.h"
#include "cpu/radiance_tensors.h"

namespace fields {
namespace {

// What the steps take behind the shape of the field, in the order of the schema.
#define STEP                                                                                     \
  int64_t samples, double min_weight, double min_transmittance, int64_t loss, bool jitter,       \
      int64_t seed, int64_t step, double lr_table, double lr_params, double beta1, double beta2, \
      double eps, double weight_decay, bool touched_only, std::optional<Tensor> stages

Trained checked_state(Tensor& value, Tensor& m, Tensor& v) {
  STD_TORCH_CHECK(m.numel() == value.numel() && v.numel() == value.numel(),
                  "moments must have the shape of their parameters");
  return {write<float>(value), write<float>(m), write<float>(v)};
}

struct StepTensors {
  Tensor colours, backgrounds, workspace;
  std::optional<Tensor> weights, stages;
};

// The step of any decoder, whose arguments are checked by now.
template <class Decoder>
std::tuple<Tensor, Tensor, Tensor> take_step(const Marched& marched,
                                             const typename Decoder::Shape& shape,
                                             const RadianceState<Decoder>& state,
                                             StepTensors tensors, Loss loss, int64_t samples,
                                             const Optimiser& optimiser) {
  const int64_t rays = marched.batch.rays;
  Tensor value = empty_of(tensors.colours, {1});
  Tensor errors = zeros_of(tensors.colours, {rays});
  Tensor counts = torch::stable::new_empty(tensors.colours, {3}, ScalarType::Long);
  const RayTargets targets{read<float>(tensors.colours), read<float>(tensors.backgrounds),
                           tensors.weights ? read<float>(*tensors.weights) : nullptr, loss,
                           write<float>(errors)};
  RadianceStages sums;
  RadianceStep<Decoder> op(marched.batch, marched.times, marched.field, shape, state, targets,
                           samples, tensors.stages ? &sums : nullptr);
  op.march();
  Tensor& workspace = tensors.workspace;
  *write<float>(value) = static_cast<float>(
      op.learn(state, optimiser, write<float>(workspace), workspace.size(0), workspace.size(1)));
  int64_t* to = write<int64_t>(counts);
  to[0] = op.counts().rays, to[1] = op.counts().marched, to[2] = op.counts().kept;
  if (tensors.stages) {
    for (int i = 0; i < kStages; ++i) write<int64_t>(*tensors.stages)[i] += sums[i];
  }
  return {value, errors, counts};
}

void check_step(const Marched& marched, const StepTensors& tensors, int64_t samples, int64_t loss,
                int64_t step) {
  STD_TORCH_CHECK(tensors.colours.numel() == 3 * marched.batch.rays &&
                      tensors.backgrounds.numel() == 3 * marched.batch.rays,
                  "colours and backgrounds must be [R, 3]");
  STD_TORCH_CHECK(!tensors.weights || tensors.weights->numel() == marched.batch.rays,
                  "weights must be [R]");
  STD_TORCH_CHECK(tensors.workspace.dim() == 2, "workspace must be a matrix");
  STD_TORCH_CHECK(loss >= 0 && loss < static_cast<int64_t>(Loss::given), "unknown loss");
  STD_TORCH_CHECK(!tensors.stages || tensors.stages->numel() == kStages,
                  "stages must be as many as there are");
  STD_TORCH_CHECK(step >= 1 && samples >= 1, "step and samples begin at 1");
}

std::tuple<Tensor, Tensor, Tensor> radiance_step(RAYS, Tensor colours, Tensor backgrounds,
                                                 std::optional<Tensor> weights, Tensor bits,
                                                 MARCH_RULE, Tensor table, Tensor table_m,
                                                 Tensor table_v, Tensor density, Tensor density_m,
                                                 Tensor density_v, Tensor colour, Tensor colour_m,
                                                 Tensor colour_v, Tensor workspace, GRID_OF_TABLE,
                                                 RADIANCE, STEP) {
  const Marched marched(origins, directions, times, bits, MARCH_ARGUMENTS, table, GRID_ARGUMENTS,
                        min_weight, min_transmittance, march_key(seed, step), jitter);
  const RadianceShape shape =
      checked_radiance(num_levels * table.size(1), density, colour, RADIANCE_ARGUMENTS);
  const StepTensors tensors{colours, backgrounds, workspace, weights, stages};
  check_step(marched, tensors, samples, loss, step);
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
                            touched_only};
  const Trained rows = checked_state(table, table_m, table_v);
  const Trained densities = checked_state(density, density_m, density_v);
  const Trained colouring = checked_state(colour, colour_m, colour_v);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  with_float_mlp(precision, [&](auto tag) {
    using Decoder = RadianceMlps<typename decltype(tag)::type>;
    result = take_step<Decoder>(marched, shape, {rows, {densities, colouring}}, tensors,
                                static_cast<Loss>(loss), samples, optimiser);
  });
  return *result;
}

std::tuple<Tensor, Tensor, Tensor> rbf_radiance_step(RAYS, Tensor colours, Tensor backgrounds,
                                                     std::optional<Tensor> weights, Tensor bits,
                                                     MARCH_RULE, Tensor table, Tensor table_m,
                                                     Tensor table_v, Tensor params, Tensor params_m,
                                                     Tensor params_v, Tensor workspace,
                                                     GRID_OF_TABLE, RBF_RADIANCE, STEP) {
  const Marched marched(origins, directions, times, bits, MARCH_ARGUMENTS, table, GRID_ARGUMENTS,
                        min_weight, min_transmittance, march_key(seed, step), jitter);
  const RbfRadianceShape shape =
      checked_rbf_radiance(num_levels * table.size(1), params, RBF_RADIANCE_ARGUMENTS);
  const StepTensors tensors{colours, backgrounds, workspace, weights, stages};
  check_step(marched, tensors, samples, loss, step);
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
                            touched_only};
  const RadianceState<RadianceRbf> state{checked_state(table, table_m, table_v),
                                         checked_state(params, params_m, params_v)};
  return take_step<RadianceRbf>(marched, shape, state, tensors, static_cast<Loss>(loss), samples,
                                optimiser);
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("radiance_step", TORCH_BOX(&fields::radiance_step));
  m.impl("rbf_radiance_step", TORCH_BOX(&fields::rbf_radiance_step));
}
