// The op of a radiance field's training step.
#include "cpu/radiance_step.h"

#include <torch/csrc/stable/library.h>

#include "cpu/precision.h"
#include "cpu/radiance_tensors.h"

namespace fields {
namespace {

std::tuple<Tensor, Tensor, Tensor> radiance_step(
    Tensor origins, Tensor directions, std::optional<Tensor> times, Tensor colours,
    Tensor backgrounds, Tensor bits, MARCH_RULE, Tensor table, Tensor table_m, Tensor table_v,
    Tensor density, Tensor density_m, Tensor density_v, Tensor colour, Tensor colour_m,
    Tensor colour_v, Tensor workspace, int64_t num_levels, int64_t base_resolution,
    double grid_growth, int64_t log2_table_size, bool smoothstep, RADIANCE, int64_t samples,
    double min_weight, double min_transmittance, int64_t loss, bool jitter, int64_t seed,
    int64_t step, double lr_table, double lr_params, double beta1, double beta2, double eps,
    double weight_decay, bool touched_only, std::optional<Tensor> stages) {
  const int dim = times ? 4 : 3;
  const int64_t rays = checked_batch(origins, directions, times, dim);
  const MarchRule rule = checked_rule(MARCH_ARGUMENTS);
  const Occupancy occupancy = checked_occupancy(bits, resolution, contract);
  const Grid grid = checked_grid(empty_of(origins, {0, dim}), table, num_levels, base_resolution,
                                 grid_growth, log2_table_size, smoothstep);
  const RadianceShape shape =
      checked_radiance(num_levels * table.size(1), density, colour, RADIANCE_ARGUMENTS);
  STD_TORCH_CHECK(colours.numel() == 3 * rays && backgrounds.numel() == 3 * rays,
                  "colours and backgrounds must be [R, 3]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      density_m.numel() == density.numel() &&
                      density_v.numel() == density.numel() && colour_m.numel() == colour.numel() &&
                      colour_v.numel() == colour.numel(),
                  "moments must have the shape of their parameters");
  STD_TORCH_CHECK(workspace.dim() == 2, "workspace must be a matrix");
  STD_TORCH_CHECK(loss >= 0 && loss < static_cast<int64_t>(Loss::given), "unknown loss");
  STD_TORCH_CHECK(!stages || stages->numel() == kStages, "stages must be as many as there are");
  STD_TORCH_CHECK(step >= 1 && samples >= 1, "step and samples begin at 1");
  Tensor value = empty_of(origins, {1});
  Tensor errors = zeros_of(origins, {rays});
  Tensor counts = torch::stable::new_empty(origins, {3}, ScalarType::Long);
  const RayBatch batch{read<float>(origins), read<float>(directions), rays, march_key(seed, step),
                       jitter};
  const MarchLimits limits{static_cast<float>(min_weight), static_cast<float>(min_transmittance)};
  const RayTargets targets{read<float>(colours), read<float>(backgrounds), static_cast<Loss>(loss),
                           write<float>(errors)};
  const RadianceState state{write<float>(table),   write<float>(table_m),   write<float>(table_v),
                            write<float>(density), write<float>(density_m), write<float>(density_v),
                            write<float>(colour),  write<float>(colour_m),  write<float>(colour_v)};
  const Optimiser optimiser{make_adam(step, lr_table, beta1, beta2, eps, 0),
                            make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
                            touched_only};
  const GridTable<float> bound(grid, dim, static_cast<int>(table.size(1)), read<float>(table));
  const MarchedField field{rule, occupancy, limits, bound, shape};
  RadianceStages sums;
  with_float_mlp(precision, [&](auto tag) {
    RadianceStep<typename decltype(tag)::type> op(batch, times ? read<float>(*times) : nullptr,
                                                  field, state, targets, samples,
                                                  stages ? &sums : nullptr);
    op.march();
    *write<float>(value) = static_cast<float>(
        op.learn(state, optimiser, write<float>(workspace), workspace.size(0), workspace.size(1)));
    int64_t* to = write<int64_t>(counts);
    to[0] = op.counts().rays, to[1] = op.counts().marched, to[2] = op.counts().kept;
  });
  if (stages) {
    for (int i = 0; i < kStages; ++i) write<int64_t>(*stages)[i] += sums[i];
  }
  return {value, errors, counts};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("radiance_step", TORCH_BOX(&fields::radiance_step));
}
