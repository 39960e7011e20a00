// The ops that draw a radiance field, on MLPs or on Gaussian kernels: a run of rays at a time, all
// in cache.
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

// The rays of a whole square, block of 4 x 4 after block: those of a pack lie close together.
void into_blocks(int64_t (&numbers)[kRunRays]) {
  int64_t rows[kRunRays];
  std::copy_n(numbers, kRunRays, rows);
  for (int r = 0; r < kRunRays; ++r) {
    const int block = r / 16, x = block % 4 * 4 + r % 4, y = block / 4 * 4 + r / 4 % 4;
    numbers[r] = rows[y * kSquare + x];
  }
}

// What comes out, a ray at a time.
struct Picture {
  float *colours, *opacity, *depth;
};

template <class Decoder>
class Renderer {
 public:
  Renderer(const MarchedField& field, const typename Decoder::Weights& weights,
           const RaySpans& spans)
      : batch_{origins_, directions_, 0, 0, false},
        marcher_(batch_, times_, field, weights, nullptr, &spans),
        net_(weights, false),
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
    marcher_.march(0, count, kept);
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
  RayMarcher<Decoder> marcher_;
  typename Decoder::Tile net_;
  int features_;
};

template <class Decoder>
std::tuple<Tensor, Tensor, Tensor> draw(const Marched& marched,
                                        const typename Decoder::Weights& weights,
                                        const Tensor& like, int64_t width,
                                        const std::optional<Tensor>& cancel) {
  const int64_t rays = marched.batch.rays;
  STD_TORCH_CHECK(width >= 0 && (width == 0 || rays % width == 0), "rays must make whole rows");
  Tensor colours = empty_of(like, {rays, 3}), opacity = empty_of(like, {rays});
  Tensor depth = empty_of(like, {rays});
  const Picture picture{write<float>(colours), write<float>(opacity), write<float>(depth)};
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  const RunSquares squares{rays, width};
  const RaySpans spans(marched.rule, marched.occupancy);
  std::vector<std::optional<Renderer<Decoder>>> own(num_workers());
  parallel_tasks(squares.count(), [&](int64_t run, int worker) {
    if (stop && *stop) return;
    int64_t numbers[kRunRays];
    const int count = squares.rays_of(run, numbers);
    if (width && count == kRunRays) into_blocks(numbers);
    if (!own[worker]) own[worker].emplace(marched.field, weights, spans);
    own[worker]->draw(marched.batch, marched.times, numbers, count, picture);
  });
  STD_TORCH_CHECK(!stop || !*stop, "cancelled");
  return {colours, opacity, depth};
}

std::tuple<Tensor, Tensor, Tensor> radiance_render(RAYS, Tensor bits, MARCH_RULE, Tensor table,
                                                   Tensor density, Tensor colour, GRID_OF_TABLE,
                                                   RADIANCE, LIMITS, int64_t width,
                                                   std::optional<Tensor> cancel) {
  const Marched marched(origins, directions, times, bits, MARCH_ARGUMENTS, table, GRID_ARGUMENTS,
                        min_weight, min_transmittance, 0, false);
  const RadianceShape shape =
      checked_radiance(num_levels * table.size(1), density, colour, RADIANCE_ARGUMENTS);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  with_float_mlp(precision, [&](auto tag) {
    using Decoder = RadianceMlps<typename decltype(tag)::type>;
    const typename Decoder::Weights weights(shape, read<float>(density), read<float>(colour),
                                            false);
    result = draw<Decoder>(marched, weights, origins, width, cancel);
  });
  return *result;
}

std::tuple<Tensor, Tensor, Tensor> rbf_radiance_render(RAYS, Tensor bits, MARCH_RULE, Tensor table,
                                                       Tensor params, GRID_OF_TABLE, RBF_RADIANCE,
                                                       LIMITS, int64_t width,
                                                       std::optional<Tensor> cancel) {
  const Marched marched(origins, directions, times, bits, MARCH_ARGUMENTS, table, GRID_ARGUMENTS,
                        min_weight, min_transmittance, 0, false);
  const RbfRadianceShape shape =
      checked_rbf_radiance(num_levels * table.size(1), params, RBF_RADIANCE_ARGUMENTS);
  const RbfWeights weights(shape, read<float>(params), false);
  return draw<RadianceRbf>(marched, weights, origins, width, cancel);
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("radiance_render", TORCH_BOX(&fields::radiance_render));
  m.impl("rbf_radiance_render", TORCH_BOX(&fields::rbf_radiance_render));
}
