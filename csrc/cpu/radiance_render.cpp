// The op that draws a radiance field: a run of rays at a time, all in cache.
#include <torch/csrc/stable/library.h>

#include "cpu/parallel.h"
#include "cpu/precision.h"
#include "cpu/radiance_tensors.h"
#include "cpu/ray_run.h"
#include "cpu/squares.h"

namespace fields {
namespace {

constexpr int kSquare = 16;
static_assert(kSquare * kSquare == kRunRays);

// Which rays make a run.
using RunSquares = Squares<kSquare>;

// What comes out, a ray at a time.
struct Picture {
  float *colours, *opacity, *depth;
};

template <class Mlp>
class Renderer {
 public:
  Renderer(const MarchedField& field, const RadianceWeights<Mlp>& weights)
      : batch_{origins_, directions_, 0, 0, false},
        marcher_(batch_, times_, field, weights),
        net_(field.shape, weights, false),
        features_(field.table.outputs()) {}

  void draw(const RayBatch& batch, const float* times, const int64_t* numbers, int count,
            const Picture& picture) {
    for (int r = 0; r < count; ++r) {
      for (int d = 0; d < 3; ++d) {
        origins_[3 * r + d] = batch.origins[3 * numbers[r] + d];
        directions_[3 * r + d] = batch.directions[3 * numbers[r] + d];
      }
      times_[r] = times ? times[numbers[r]] : 0.0f;
    }
    batch_.rays = count;
    KeptSamples kept(features_);
    marcher_.march(0, kept);
    float sums[kRunRays][4] = {};  // colour and depth
    alignas(64) float along[3 * kTile], rgb[3 * kTile];
    for (int64_t t = 0; t < kept.tiles(); ++t) {
      const SampleTile& tile = kept.facts[t];
      load_directions(tile, directions_, along);
      net_.forward(kept.features[t], along, rgb);
      for (int s = 0; s < tile_samples(kept.count, t); ++s) {
        float* sum = sums[tile.ray[s]];
        for (int c = 0; c < 3; ++c) sum[c] = fma(tile.weight[s], rgb[c * kTile + s], sum[c]);
        sum[3] = fma(tile.weight[s], tile.t[s], sum[3]);
      }
    }
    for (int r = 0; r < count; ++r) {
      for (int c = 0; c < 3; ++c) picture.colours[3 * numbers[r] + c] = sums[r][c];
      picture.opacity[numbers[r]] = 1.0f - kept.transmittance[r];
      picture.depth[numbers[r]] = sums[r][3];
    }
  }

 private:
  float origins_[3 * kRunRays], directions_[3 * kRunRays], times_[kRunRays];
  RayBatch batch_;
  RayMarcher<Mlp> marcher_;
  RadianceTile<Mlp> net_;
  int features_;
};

std::tuple<Tensor, Tensor, Tensor> radiance_render(
    Tensor origins, Tensor directions, std::optional<Tensor> times, Tensor bits, MARCH_RULE,
    Tensor table, Tensor density, Tensor colour, int64_t num_levels, int64_t base_resolution,
    double grid_growth, int64_t log2_table_size, bool smoothstep, RADIANCE, double min_weight,
    double min_transmittance, int64_t width, std::optional<Tensor> cancel) {
  const int dim = times ? 4 : 3;
  const int64_t rays = checked_batch(origins, directions, times, dim);
  STD_TORCH_CHECK(width >= 0 && (width == 0 || rays % width == 0), "rays must make whole rows");
  const MarchRule rule = checked_rule(MARCH_ARGUMENTS);
  const Occupancy occupancy = checked_occupancy(bits, resolution, contract);
  const Grid grid = checked_grid(empty_of(origins, {0, dim}), table, num_levels, base_resolution,
                                 grid_growth, log2_table_size, smoothstep);
  const RadianceShape shape =
      checked_radiance(num_levels * table.size(1), density, colour, RADIANCE_ARGUMENTS);
  Tensor colours = empty_of(origins, {rays, 3}), opacity = empty_of(origins, {rays});
  Tensor depth = empty_of(origins, {rays});
  const RayBatch batch{read<float>(origins), read<float>(directions), rays, 0, false};
  const float* own_times = times ? read<float>(*times) : nullptr;
  const MarchLimits limits{static_cast<float>(min_weight), static_cast<float>(min_transmittance)};
  const GridTable<float> bound(grid, dim, static_cast<int>(table.size(1)), read<float>(table));
  const Picture picture{write<float>(colours), write<float>(opacity), write<float>(depth)};
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  const RunSquares squares{rays, width};
  const MarchedField field{rule, occupancy, limits, bound, shape};
  with_float_mlp(precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    const RadianceWeights<Mlp> weights(shape, read<float>(density), read<float>(colour), false);
    parallel_tasks(squares.count(), [&](int64_t run, int) {
      if (stop && *stop) return;
      int64_t numbers[kRunRays];
      const int count = squares.rays_of(run, numbers);
      Renderer<Mlp>(field, weights).draw(batch, own_times, numbers, count, picture);
    });
  });
  STD_TORCH_CHECK(!stop || !*stop, "cancelled");
  return {colours, opacity, depth};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("radiance_render", TORCH_BOX(&fields::radiance_render));
}
