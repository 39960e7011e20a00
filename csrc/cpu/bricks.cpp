// Bricks as a camera sees them: a square of a picture at a time, rays side by side in packs.
//
// Rays are marched first, and the samples that count are noted down; then colours are added up,
// with a row's numbers side by side in packs, since gathering 16 bytes from each of 8 corners for
// rays side by side would cost more than all the rest.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "cpu/brick_views.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int kRays = kSquareSide * kSquareSide;

constexpr size_t kAhead = 24;  // samples
// Samples of a ray share a colour in so many steps, without a gap.
constexpr float kMostSteps = 3.0f, kMostGap = 1.5f;

struct Sample {
  uint32_t vertex, ray;  // of its cell; in its square, in the order of patches
  float at[3], weight;
};

// One thread's workspace.
class Square {
 public:
  Square(const Bricks& bricks, const BrickWalk& walk, float shared_weight)
      : bricks_(bricks), walk_(walk), shared_weight_(shared_weight) {}

  void draw(const BrickView& view, int64_t square, float* colours, float* opacity, float* depth) {
    samples_.clear();
    std::fill_n(opacity_, kRays, 0.0f);
    march(view, square);
    if (!samples_.empty()) {
      sum_colours();
      evaluate();
    }
    store_pixels(view, square, colours, opacity, depth);
  }

 private:
  void march(const BrickView& view, int64_t square) {
    view.each_patch(walk_.rule, square, [&](int patch, RayWalk<Pack>& walk) {
      Pack transmittance = splat<Pack>(1.0f), depth = splat<Pack>(0.0f);
      Cluster cluster;
      march_bricks(bricks_, walk_.rule, walk_.limits, walk, transmittance,
                   [&](Pack weight, const InBrick<Pack>& in, Pack t) {
                     depth = fma(weight, t, depth);
                     if (shared_weight_ > 0.0f) {
                       gather(patch, walk, weight, in, t, cluster);
                     } else {
                       note(patch, weight, in);
                     }
                   });
      flush(patch, walk, splat<Pack>(0.0f) < cluster.weight, cluster);
      store(opacity_ + patch * kWidth, splat<Pack>(1.0f) - transmittance);
      store(depth_ + patch * kWidth, depth);
      for (int d = 0; d < 3; ++d) store(directions_[d] + patch * kWidth, walk.ray.direction[d]);
    });
  }

  // Samples of a ray that follow one another and have not been given a colour yet.
  struct Cluster {
    Pack weight = splat<Pack>(0.0f), moment = splat<Pack>(0.0f);  // sums of w, and of w t
    Pack begun = splat<Pack>(0.0f), last = splat<Pack>(0.0f);     // t of the first and last one
    InBrick<Pack> in{};                                           // where the last one is
  };

  // Colour is nearly linear along a few steps, so that of a few samples is that of their middle.
  void gather(int patch, const RayWalk<Pack>& walk, Pack weight, const InBrick<Pack>& in, Pack t,
              Cluster& cluster) {
    const Pack zero = splat<Pack>(0.0f);
    const auto counts = zero < weight;
    const auto is_apart = splat<Pack>(kMostGap * walk_.rule.step) < t - cluster.last;
    flush(patch, walk, counts & (zero < cluster.weight) & is_apart, cluster);
    cluster.begun = select(counts & (cluster.weight == zero), t, cluster.begun);
    cluster.last = select(counts, t, cluster.last);
    cluster.weight = cluster.weight + weight;
    cluster.moment = fma(weight, t, cluster.moment);
    cluster.in.vertex = select(counts, in.vertex, cluster.in.vertex);
    for (int d = 0; d < 3; ++d) cluster.in.at[d] = select(counts, in.at[d], cluster.in.at[d]);
    const auto is_heavy = splat<Pack>(shared_weight_) < cluster.weight;
    const auto is_long = splat<Pack>((kMostSteps - 0.5f) * walk_.rule.step) < t - cluster.begun;
    const auto full = PackMask{counts.v & (is_heavy.v | is_long.v)};
    flush(patch, walk, full, cluster);
  }

  // Where there is no brick in the middle, colour is that of the last sample.
  void flush(int patch, const RayWalk<Pack>& walk, PackMask lanes, Cluster& cluster) {
    if (!any(lanes)) return;
    const Pack zero = splat<Pack>(0.0f);
    RayWalk<Pack> middle = walk;
    middle.t = cluster.moment / max(cluster.weight, splat<Pack>(1e-12f));
    BrickLook<Pack> found = look(bricks_, walk_.rule, middle);
    found.in.vertex = select(found.has_brick, found.in.vertex, cluster.in.vertex);
    for (int d = 0; d < 3; ++d) {
      found.in.at[d] = select(found.has_brick, found.in.at[d], cluster.in.at[d]);
    }
    note(patch, select(lanes, cluster.weight, zero), found.in);
    cluster.weight = select(lanes, zero, cluster.weight);
    cluster.moment = select(lanes, zero, cluster.moment);
  }

  void note(int patch, Pack weight, const InBrick<Pack>& in) {
    alignas(64) uint32_t vertex[kWidth];
    alignas(64) float weights[kWidth], at[3][kWidth];
    store_int(vertex, in.vertex);
    store(weights, weight);
    for (int d = 0; d < 3; ++d) store(at[d], in.at[d]);
    for (uint32_t left = bits(splat<Pack>(0.0f) < weight); left; left &= left - 1) {
      const int i = __builtin_ctz(left);
      const uint32_t ray = static_cast<uint32_t>(patch * kWidth + i);
      samples_.push_back({vertex[i], ray, {at[0][i], at[1][i], at[2][i]}, weights[i]});
      __builtin_prefetch(bricks_.vertices + vertex[i] + kRowsAt);
    }
  }

  // The rows of a sample's corners are on their way while those of others are added up.
  void fetch(const Sample& sample) const {
    const uint8_t* row = first_row(sample.vertex);
    const uint8_t* numbers = bricks_.vertices + sample.vertex + kRowsAt;
    for (int corner = 0; corner < 8; ++corner) {
      __builtin_prefetch(row + numbers[brick_corner(corner)] * kRowBytes);
    }
  }

  const uint8_t* first_row(uint32_t vertex) const {
    return bricks_.colours + bricks_.first_row(vertex) * kRowBytes;
  }

  void sum_colours() {
    constexpr int kPacks = kRowBytes / kWidth;
    std::fill_n(sums_, kRays * kRowBytes, 0.0f);
    for (size_t s = 0; s < samples_.size(); ++s) {
      if (s + kAhead < samples_.size()) fetch(samples_[s + kAhead]);
      const Sample& sample = samples_[s];
      const uint8_t* first = first_row(sample.vertex);
      const uint8_t* numbers = bricks_.vertices + sample.vertex + kRowsAt;
      const InBrick<float> in{0, {sample.at[0], sample.at[1], sample.at[2]}};
      float* sum = sums_ + sample.ray * kRowBytes;
      Pack total[kPacks];
      for (int i = 0; i < kPacks; ++i) total[i] = load<Pack>(sum + i * kWidth);
#pragma GCC unroll 8
      for (int corner = 0; corner < 8; ++corner) {
        const Pack share = splat<Pack>(sample.weight * in.share(corner));
        const uint8_t* row = first + numbers[brick_corner(corner)] * kRowBytes;
        for (int i = 0; i < kPacks; ++i) {
          total[i] = fma(share, load_bytes(row + i * kWidth), total[i]);
        }
      }
      for (int i = 0; i < kPacks; ++i) store(sum + i * kWidth, total[i]);
    }
  }

  // From sums of bytes to colours.
  void evaluate() {
    const int count = bricks_.harmonics();
    transpose(sums_, kRowBytes, turned_, kRays, kRays, kRowBytes);
    for (int r = 0; r < kRays; r += kWidth) {
      const Pack weight = load<Pack>(opacity_ + r);
      if (!any(splat<Pack>(0.0f) < weight)) {
        for (int c = 0; c < 3; ++c) store(rgb_[c] + r, splat<Pack>(0.0f));
        continue;
      }
      Pack direction[3], rgb[3], numbers[kRowBytes];
#pragma GCC unroll 16
      for (int k = 0; k < kRowBytes; ++k) numbers[k] = load<Pack>(turned_ + k * kRays + r);
      for (int d = 0; d < 3; ++d) direction[d] = load<Pack>(directions_[d] + r);
      for (Pack& channel : rgb) channel = splat<Pack>(0.0f);
      spherical_harmonics(bricks_.degree, direction, [&](int h, Pack y) {
        for (int c = 0; c < 3; ++c) {
          const float* share = bricks_.palette + c * count + h;
          Pack coefficient = splat<Pack>(*share) * weight;
#pragma GCC unroll 16
          for (int k = 0; k < kRowBytes; ++k) {
            coefficient = fma(splat<Pack>(share[(1 + k) * 3 * count]), numbers[k], coefficient);
          }
          rgb[c] = fma(coefficient, y, rgb[c]);
        }
      });
      for (int c = 0; c < 3; ++c) {
        store(rgb_[c] + r, min(max(rgb[c], splat<Pack>(0.0f)), weight));
      }
    }
  }

  void store_pixels(const BrickView& view, int64_t square, float* colours, float* opacity,
                    float* depth) const {
    view.each_pixel(square, [&](int r, int64_t pixel) {
      const bool is_seen = opacity_[r] > 0.0f;
      for (int c = 0; c < 3; ++c) colours[3 * pixel + c] = is_seen ? rgb_[c][r] : 0.0f;
      opacity[pixel] = opacity_[r];
      depth[pixel] = is_seen ? depth_[r] : 0.0f;
    });
  }

  const Bricks& bricks_;
  const BrickWalk& walk_;
  float shared_weight_;
  std::vector<Sample> samples_;
  alignas(64) float opacity_[kRays], depth_[kRays], directions_[3][kRays], rgb_[3][kRays];
  alignas(64) float sums_[kRays * kRowBytes], turned_[kRays * kRowBytes];
};

std::tuple<Tensor, Tensor, Tensor> bricks_render(Tensor pose, Tensor intrinsics, int64_t width,
                                                 int64_t height, BRICKS, BRICK_WALK,
                                                 double shared_weight,
                                                 std::optional<Tensor> cancel) {
  const Bricks bricks = checked_bricks(BRICK_ARGUMENTS);
  const BrickWalk walk = checked_walk(BRICK_WALK_ARGUMENTS);
  const BrickCameras cameras = checked_cameras(pose, intrinsics, width, height);
  STD_TORCH_CHECK(cameras.count == 1, "a picture has one camera");
  BrickPicture picture(pose, cameras.pixels());
  float *to_colours = write<float>(picture.colours), *to_opacity = write<float>(picture.opacity);
  float* to_depth = write<float>(picture.depth);
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  const BrickView view(bricks, cameras, 0);
  std::vector<std::optional<Square>> own(num_workers());
  parallel_tasks(view.squares(), [&](int64_t square, int worker) {
    if (stop && *stop) return;
    if (!own[worker]) own[worker].emplace(bricks, walk, static_cast<float>(shared_weight));
    own[worker]->draw(view, square, to_colours, to_opacity, to_depth);
  });
  STD_TORCH_CHECK(!stop || !*stop, "cancelled");
  return {picture.colours, picture.opacity, picture.depth};
}

// Vertices that cameras see, as 1 [bricks][125].
Tensor bricks_seen(Tensor poses, Tensor intrinsics, int64_t width, int64_t height, BRICKS,
                   BRICK_WALK) {
  const Bricks bricks = checked_bricks(BRICK_ARGUMENTS);
  const BrickWalk walk_rule = checked_walk(BRICK_WALK_ARGUMENTS);
  const BrickCameras cameras = checked_cameras(poses, intrinsics, width, height);
  Tensor seen = zeros_of(vertices, {vertices.size(0), kBrickVertexCount});
  uint8_t* flags = write<uint8_t>(seen);
  const auto see = [&](Pack weight, const InBrick<Pack>& in, Pack) {
    alignas(64) uint32_t vertex[kWidth];
    store_int(vertex, in.vertex);
    for (uint32_t left = bits(splat<Pack>(0.0f) < weight); left; left &= left - 1) {
      const uint32_t own = vertex[__builtin_ctz(left)];
      uint8_t* flag = flags + own / kBrickBytes * size_t(kBrickVertexCount) + own % kBrickBytes;
      // Several threads may see a vertex.
      for (int i = 0; i < 8; ++i) __atomic_store_n(flag + brick_corner(i), 1, __ATOMIC_RELAXED);
    }
  };
  for (int64_t camera = 0; camera < cameras.count; ++camera) {
    const BrickView view(bricks, cameras, camera);
    parallel_tasks(view.squares(), [&](int64_t square, int) {
      view.each_patch(walk_rule.rule, square, [&](int, RayWalk<Pack>& walk) {
        Pack transmittance = splat<Pack>(1.0f);
        march_bricks(bricks, walk_rule.rule, walk_rule.limits, walk, transmittance, see);
      });
    });
  }
  return seen;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("bricks_render", TORCH_BOX(&fields::bricks_render));
  m.impl("bricks_seen", TORCH_BOX(&fields::bricks_seen));
}
