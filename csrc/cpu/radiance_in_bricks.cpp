// A radiance field as a camera sees it, asked only where its bake says that something is: of the
// samples that radiance_render asks it for most are empty or hidden, which bricks tell for less.
//
// Samples lie where those of radiance_render do, and their weights are the field's.
#include <torch/csrc/stable/library.h>

#include "cpu/brick_views.h"
#include "cpu/parallel.h"
#include "cpu/precision.h"
#include "cpu/radiance_tensors.h"

namespace fields {
namespace {

constexpr int kRays = kSquareSide * kSquareSide;
constexpr int kMostTiles = 32;  // at once: their features stay in cache

// What is drawn, and where to.
struct Pinhole {
  const Bricks& bricks;
  const BrickCameras& cameras;
  const BrickWalk& walk;  // through the bricks
  const MarchLimits& limits;
  const GridTable<float>& table;
  float *colours, *opacity, *depth;
};

// One thread's workspace.
template <class Decoder>
class Square {
 public:
  Square(const Pinhole& of, const typename Decoder::Weights& weights)
      : of_(of), net_(weights, false), features_(size_t(of.table.outputs()) * kTile * kMostTiles) {}

  void draw(const BrickView& view, int64_t square) {
    t_.clear();
    ray_.clear();
    std::fill_n(transmittance_, kRays, 1.0f);
    std::fill_n(&sums_[0][0], kRays * 4, 0.0f);
    choose(view, square);
    const int64_t count = static_cast<int64_t>(t_.size());
    for (int64_t first = 0; first < count; first += kMostTiles * kTile) {
      add(first, std::min<int64_t>(count - first, kMostTiles * kTile));
    }
    store_pixels(view, square);
  }

 private:
  // Rays of the square are numbered patch by patch. Samples of a ray come front to back.
  void choose(const BrickView& view, int64_t square) {
    view.each_patch(of_.walk.rule, square, [&](int patch, RayWalk<Pack>& walk) {
      for (int d = 0; d < 3; ++d) store(directions_[d] + patch * kWidth, walk.ray.direction[d]);
      Pack transmittance = splat<Pack>(1.0f);
      march_bricks(of_.bricks, of_.walk.rule, of_.walk.limits, walk, transmittance,
                   [&](Pack weight, const InBrick<Pack>&, Pack t) {
                     alignas(64) float at[kWidth];
                     store(at, t);
                     for (uint32_t left = bits(splat<Pack>(0.0f) < weight); left;
                          left &= left - 1) {
                       const int i = __builtin_ctz(left);
                       t_.push_back(at[i]);
                       ray_.push_back(patch * kWidth + i);
                     }
                   });
    });
  }

  // `count` samples from number `first` on, tile after tile.
  void add(int64_t first, int64_t count) {
    const int64_t tiles = num_tiles(count);
    for (int64_t t = 0; t < tiles; ++t) {
      place(first + t * kTile, tile_samples(count, t), coords_[t]);
    }
    const size_t size = size_t(of_.table.outputs()) * kTile;
    of_.table.encode_each(
        tiles, [&](int64_t t) { return coords_[t]; },
        [&](int64_t t) { return features_.data() + t * size; });
    for (int64_t t = 0; t < tiles; ++t) {
      shade(first + t * kTile, tile_samples(count, t), features_.data() + t * size);
    }
  }

  void place(int64_t first, int count, float* coords) const {
    const float* pose = of_.cameras.poses;
    for (int s = 0; s < kTile; ++s) {
      const int64_t sample = first + std::min(s, count - 1);
      for (int d = 0; d < 3; ++d) {
        const float x = fma(t_[sample], directions_[d][ray_[sample]], pose[4 * d + 3]);
        coords[d * kTile + s] = min(max(x, 0.0f), 1.0f);
      }
    }
  }

  void shade(int64_t first, int count, const float* features) {
    alignas(64) float along[3 * kTile], rgb[3 * kTile], pass[kTile];
    for (int s = 0; s < kTile; ++s) {
      const int ray = ray_[first + std::min(s, count - 1)];
      for (int d = 0; d < 3; ++d) along[d * kTile + s] = directions_[d][ray];
    }
    const float* raw = net_.forward(features, along, rgb);
    for (int s = 0; s < kTile; s += kWidth) {
      store(pass + s, passed(density_of(load<Pack>(raw + s)), splat<Pack>(of_.walk.rule.step)));
    }
    for (int s = 0; s < count; ++s) {
      const int ray = ray_[first + s];
      float& transmittance = transmittance_[ray];
      const float weight = transmittance * (1.0f - pass[s]);
      if (weight < of_.limits.min_weight || transmittance < of_.limits.min_transmittance) continue;
      for (int c = 0; c < 3; ++c) sums_[ray][c] = fma(weight, rgb[c * kTile + s], sums_[ray][c]);
      sums_[ray][3] = fma(weight, t_[first + s], sums_[ray][3]);
      transmittance *= pass[s];
    }
  }

  void store_pixels(const BrickView& view, int64_t square) const {
    view.each_pixel(square, [&](int ray, int64_t pixel) {
      for (int c = 0; c < 3; ++c) of_.colours[3 * pixel + c] = sums_[ray][c];
      of_.opacity[pixel] = 1.0f - transmittance_[ray];
      of_.depth[pixel] = sums_[ray][3];
    });
  }

  const Pinhole& of_;
  typename Decoder::Tile net_;
  Scratch<float> features_;
  std::vector<float> t_;
  std::vector<int> ray_;
  alignas(64) float coords_[kMostTiles][3 * kTile];
  alignas(64) float directions_[3][kRays];
  float transmittance_[kRays], sums_[kRays][4];  // colour and depth
};

// `caution`: how much less than a sample's least weight bricks may say of it, and the same of what
// a ray lets pass at its end.
template <class Decoder>
std::tuple<Tensor, Tensor, Tensor> draw(const Bricks& bricks, const BrickCameras& cameras,
                                        const BrickWalk& walk, double caution,
                                        const GridTable<float>& table,
                                        const typename Decoder::Weights& weights,
                                        const Tensor& like, const std::optional<Tensor>& cancel) {
  STD_TORCH_CHECK(cameras.count == 1, "a picture has one camera");
  STD_TORCH_CHECK(caution >= 1, "caution must be at least 1");
  const float less = static_cast<float>(1 / caution);
  const BrickWalk through{walk.rule,
                          {walk.limits.min_weight * less, walk.limits.min_transmittance * less}};
  BrickPicture picture(like, cameras.pixels());
  const Pinhole of{bricks,
                   cameras,
                   through,
                   walk.limits,
                   table,
                   write<float>(picture.colours),
                   write<float>(picture.opacity),
                   write<float>(picture.depth)};
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  const BrickView view(bricks, cameras, 0);
  std::vector<std::optional<Square<Decoder>>> own(num_workers());
  parallel_tasks(view.squares(), [&](int64_t square, int worker) {
    if (stop && *stop) return;
    if (!own[worker]) own[worker].emplace(of, weights);
    own[worker]->draw(view, square);
  });
  STD_TORCH_CHECK(!stop || !*stop, "cancelled");
  return {picture.colours, picture.opacity, picture.depth};
}

GridTable<float> checked_table(const Tensor& table, GRID_OF_TABLE) {
  return {checked_grid(empty_of(table, {0, 3}), table, GRID_ARGUMENTS), 3,
          static_cast<int>(table.size(1)), read<float>(table)};
}

std::tuple<Tensor, Tensor, Tensor> radiance_in_bricks(Tensor pose, Tensor intrinsics, int64_t width,
                                                      int64_t height, BRICKS, BRICK_WALK,
                                                      double caution, Tensor table, Tensor density,
                                                      Tensor colour, GRID_OF_TABLE, RADIANCE,
                                                      std::optional<Tensor> cancel) {
  const RadianceShape shape =
      checked_radiance(num_levels * table.size(1), density, colour, RADIANCE_ARGUMENTS);
  std::optional<std::tuple<Tensor, Tensor, Tensor>> result;
  with_float_mlp(precision, [&](auto tag) {
    using Decoder = RadianceMlps<typename decltype(tag)::type>;
    const typename Decoder::Weights weights(shape, read<float>(density), read<float>(colour),
                                            false);
    result = draw<Decoder>(checked_bricks(BRICK_ARGUMENTS),
                           checked_cameras(pose, intrinsics, width, height),
                           checked_walk(BRICK_WALK_ARGUMENTS), caution,
                           checked_table(table, GRID_ARGUMENTS), weights, pose, cancel);
  });
  return *result;
}

std::tuple<Tensor, Tensor, Tensor> rbf_radiance_in_bricks(Tensor pose, Tensor intrinsics,
                                                          int64_t width, int64_t height, BRICKS,
                                                          BRICK_WALK, double caution, Tensor table,
                                                          Tensor params, GRID_OF_TABLE,
                                                          RBF_RADIANCE,
                                                          std::optional<Tensor> cancel) {
  const RbfRadianceShape shape =
      checked_rbf_radiance(num_levels * table.size(1), params, RBF_RADIANCE_ARGUMENTS);
  const RbfWeights weights(shape, read<float>(params), false);
  return draw<RadianceRbf>(checked_bricks(BRICK_ARGUMENTS),
                           checked_cameras(pose, intrinsics, width, height),
                           checked_walk(BRICK_WALK_ARGUMENTS), caution,
                           checked_table(table, GRID_ARGUMENTS), weights, pose, cancel);
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("radiance_in_bricks", TORCH_BOX(&fields::radiance_in_bricks));
  m.impl("rbf_radiance_in_bricks", TORCH_BOX(&fields::rbf_radiance_in_bricks));
}
