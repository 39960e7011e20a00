// Many small fields at once: their values, and their fit.
#include <torch/csrc/stable/library.h>

#include "cpu/checked_plane_fields.h"
#include "cpu/parallel.h"
#include "cpu/tile_plane_field.h"

namespace fields {
namespace {

constexpr int64_t kRun = 64;  // tiles of a task: packing the MLP's weights takes as long as one

Tensor plane_fields(Tensor coords, Tensor planes, Tensor params, int64_t octaves, int64_t width,
                    int64_t depth, int64_t channels, bool bias, int64_t activation,
                    int64_t output_activation, int64_t precision, double first_omega,
                    double omega) {
  const PlaneFieldShape shape =
      checked_plane_fields(planes, params, octaves, width, depth, channels, bias, activation,
                           output_activation, precision, first_omega, omega);
  STD_TORCH_CHECK(coords.dim() == 3 && coords.size(0) == planes.size(0) && coords.size(2) == 3,
                  "coords must be [F, N, 3]");
  const int64_t fields = coords.size(0), samples = coords.size(1);
  Tensor values = empty_of(coords, {fields, samples, channels});
  const float *x = read<float>(coords), *texels = read<float>(planes), *p = read<float>(params);
  float* out = write<float>(values);
  const int64_t tiles = num_tiles(samples), runs = (tiles + kRun - 1) / kRun;
  parallel_tasks(fields * runs, [&](int64_t task, int) {
    const int64_t field = task / runs, begin = task % runs * kRun;
    const PackedMlp<Pack> packed(shape.mlp, p + field * shape.mlp.size(), false);
    TilePlaneField tile_field(shape, false);
    Scratch<float> y(size_t(channels) * kTile);
    for (int64_t t = begin; t < std::min(tiles, begin + kRun); ++t) {
      alignas(64) float tile_x[3 * kTile];
      load_coords_tile(x + field * samples * 3, samples, 3, t, tile_x);
      tile_field.forward(texels + field * shape.plane_numbers(), packed, tile_x,
                         tile_samples(samples, t), y.data());
      store_tile(y.data(), samples, channels, t, out + field * samples * channels);
    }
  });
  return values;
}

Tensor fit_plane_fields(Tensor samples, Tensor keys, Tensor planes, Tensor planes_m,
                        Tensor planes_v, Tensor params, Tensor params_m, Tensor params_v,
                        int64_t octaves, int64_t width, int64_t depth, int64_t channels, bool bias,
                        int64_t activation, int64_t output_activation, int64_t precision,
                        double first_omega, double omega, int64_t loss, int64_t batch,
                        int64_t first_step, int64_t steps, int64_t total, double lr_planes,
                        double lr_params, double final_share, double beta1, double beta2,
                        double eps) {
  const PlaneFieldShape shape =
      checked_plane_fields(planes, params, octaves, width, depth, channels, bias, activation,
                           output_activation, precision, first_omega, omega);
  const PlaneFieldFit fit{batch,     first_step,  steps, total, lr_planes,
                          lr_params, final_share, beta1, beta2, eps};
  const PlaneFieldTensors set = checked_plane_fit(shape, fit, samples, keys, planes, planes_m,
                                                  planes_v, params, params_m, params_v);
  Tensor losses = empty_of(planes, {set.fields, steps});
  float* out = write<float>(losses);
  parallel_tasks(set.fields, [&](int64_t i, int) {
    const int64_t texel = i * shape.plane_numbers(), param = i * shape.mlp.size();
    PlaneFieldTask task(shape, static_cast<Loss>(loss), fit);
    task.run(set.samples + i * set.pool * (3 + channels), set.pool, set.keys[i], set.planes + texel,
             set.planes_m + texel, set.planes_v + texel, set.params + param, set.params_m + param,
             set.params_v + param, out + i * steps);
  });
  return losses;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("plane_fields", TORCH_BOX(&fields::plane_fields));
  m.impl("fit_plane_fields", TORCH_BOX(&fields::fit_plane_fields));
}
