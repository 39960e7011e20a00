// Which parts of a picture may show bricks, and how far away: bricks are projected onto patches of
// pixels, whose rays make a pack, and these are walked within what their patch was given.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/bricks_tensors.h"
#include "cpu/memory.h"
#include "cpu/pack_maths.h"
#include "cpu/parallel.h"

namespace fields {

constexpr int kSquareSide = 16;  // pixels, of a task
constexpr int kPatchWide = kWidth >= 8 ? 4 : 2, kPatchHigh = kWidth / kPatchWide;
constexpr int kPatchesAcross = kSquareSide / kPatchWide;  // of a square
constexpr int kPatches = kSquareSide * kSquareSide / kWidth;

class BrickView {
 public:
  BrickView(const Bricks& bricks, const BrickCameras& cameras, int64_t camera)
      : width_(cameras.width),
        height_(cameras.height),
        pose_(cameras.poses + 12 * camera),
        k_(cameras.intrinsics + 4 * camera),
        across_((width_ + kPatchWide - 1) / kPatchWide),
        down_((height_ + kPatchHigh - 1) / kPatchHigh),
        spans_(across_ * down_) {
    if (spans_.empty()) return;
    const int n = bricks.along;
    std::vector<std::vector<Span>> own(num_workers());
    parallel_tasks(n * n, [&](int64_t task, int worker) {
      if (own[worker].empty()) own[worker].resize(spans_.size());
      const int y = static_cast<int>(task) % n, z = static_cast<int>(task) / n;
      for (int x = 0; x < n; ++x) {
        if (bricks.blocks[task * n + x] >= 0) add_block(bricks, x, y, z, own[worker].data());
      }
    });
    for (const std::vector<Span>& some : own) {
      for (size_t i = 0; i < some.size(); ++i) spans_[i].widen(some[i]);
    }
  }

  int64_t squares() const { return squares_across() * ((height_ + kSquareSide - 1) / kSquareSide); }
  int64_t x(int64_t square) const { return square % squares_across() * kSquareSide; }
  int64_t y(int64_t square) const { return square / squares_across() * kSquareSide; }

  // march(patch of the square, walk) for each patch that may see bricks. Lanes beside the picture
  // have walks that are at their end.
  template <class March>
  void each_patch(const MarchRule& rule, int64_t square, const March& march) const {
    for (int p = 0; p < kPatches; ++p) {
      const int64_t x0 = x(square) + p % kPatchesAcross * kPatchWide;
      const int64_t y0 = y(square) + p / kPatchesAcross * kPatchHigh;
      if (x0 >= width_ || y0 >= height_) continue;
      const Span& span = spans_[y0 / kPatchHigh * across_ + x0 / kPatchWide];
      if (!(span.near < span.far)) continue;
      alignas(64) float px[kWidth], py[kWidth], far[kWidth];
      for (int i = 0; i < kWidth; ++i) {
        px[i] = static_cast<float>(x0 + i % kPatchWide);
        py[i] = static_cast<float>(y0 + i / kPatchWide);
        const bool is_inside = x0 + i % kPatchWide < width_ && y0 + i / kPatchWide < height_;
        far[i] = is_inside ? span.far : -1.0f;
      }
      RayWalk<Pack> walk = begin_at_pixel<Pack>(rule, pose_, k_, load<Pack>(px), load<Pack>(py));
      walk.far = min(load<Pack>(far), walk.far);
      enter_at(rule, splat<Pack>(span.near), walk);
      march(p, walk);
    }
  }

  // put(ray, pixel) for each pixel of the square, rays being numbered patch by patch.
  template <class Put>
  void each_pixel(int64_t square, const Put& put) const {
    for (int ray = 0; ray < kSquareSide * kSquareSide; ++ray) {
      const int p = ray / kWidth, i = ray % kWidth;
      const int64_t column = x(square) + p % kPatchesAcross * kPatchWide + i % kPatchWide;
      const int64_t row = y(square) + p / kPatchesAcross * kPatchHigh + i / kPatchWide;
      if (column < width_ && row < height_) put(ray, row * width_ + column);
    }
  }

 private:
  // Along the rays of a patch; nothing is seen at first.
  struct Span {
    float near = 3e38f, far = 0.0f;

    void widen(const Span& other) {
      near = std::min(near, other.near);
      far = std::max(far, other.far);
    }
  };

  void add_block(const Bricks& bricks, int bx, int by, int bz, Span* spans) const {
    const int32_t* page =
        bricks.pages + bricks.blocks[(bz * bricks.along + by) * bricks.along + bx] * kBlockBricks;
    const float side = static_cast<float>(kBrickCells) / static_cast<float>(bricks.resolution());
    for (int first = 0; first < kBlockBricks; first += kWidth) {
      alignas(64) float at[3][kWidth];
      bool any_there = false;
      for (int i = 0; i < kWidth; ++i) {
        const int brick = first + i;
        at[0][i] = (static_cast<float>(4 * bx + brick % 4) + 0.5f) * side;
        at[1][i] = (static_cast<float>(4 * by + brick / 4 % 4) + 0.5f) * side;
        at[2][i] = (static_cast<float>(4 * bz + brick / 16) + 0.5f) * side;
        any_there = any_there || page[brick] >= 0;
      }
      if (any_there) add_bricks(page + first, at, 0.8661f * side, spans);
    }
  }

  // The balls around a pack of bricks, seen from the camera. A point of a ball of radius r at depth
  // z shows within f sqrt(1 + tan^2) r / (z - r) of where its middle does, along each axis of the
  // picture, tan being x / z or y / z of the middle.
  void add_bricks(const int32_t* page, const float (&at)[3][kWidth], float radius,
                  Span* spans) const {
    const Pack one = splat<Pack>(1.0f), r = splat<Pack>(radius);
    Pack from_eye[3], local[3];
    for (int d = 0; d < 3; ++d) from_eye[d] = load<Pack>(at[d]) - splat<Pack>(pose_[4 * d + 3]);
    Pack distance2 = splat<Pack>(0.0f);
    for (int axis = 0; axis < 3; ++axis) {
      local[axis] = splat<Pack>(0.0f);
      for (int d = 0; d < 3; ++d) {
        local[axis] = fma(splat<Pack>(pose_[4 * d + axis]), from_eye[d], local[axis]);
      }
      distance2 = fma(from_eye[axis], from_eye[axis], distance2);
    }
    const Pack depth = -local[2], distance = sqrt(distance2);
    const Pack clear = depth - splat<Pack>(1.1f * radius);
    const Pack inverse = one / depth;
    const Pack x = local[0] * inverse, y = -local[1] * inverse;
    const Pack reach = r * sqrt(one + max(x * x, y * y)) / max(clear, splat<Pack>(1e-9f));
    const auto pixel = [&](int axis, Pack place) {
      return fma(splat<Pack>(k_[axis]), place, splat<Pack>(k_[2 + axis] - 0.5f));
    };
    alignas(64) float low[2][kWidth], high[2][kWidth], near[kWidth], far[kWidth], ahead[kWidth];
    store(low[0], pixel(0, x - reach)), store(high[0], pixel(0, x + reach));
    store(low[1], pixel(1, y - reach)), store(high[1], pixel(1, y + reach));
    store(near, max(distance - r, splat<Pack>(0.0f)));
    store(far, distance + r);
    store(ahead, clear);
    for (int i = 0; i < kWidth; ++i) {
      if (page[i] < 0) continue;
      const Span span{near[i], far[i]};
      if (ahead[i] > 0.0f) {
        cover(first(low[0][i], kPatchWide), last(high[0][i], kPatchWide, across_),
              first(low[1][i], kPatchHigh), last(high[1][i], kPatchHigh, down_), span, spans);
      } else if (ahead[i] > -3.0f * radius) {  // around the camera, or beside it
        cover(0, across_, 0, down_, span, spans);
      }
    }
  }

  // Patches from the one that holds a pixel on, and up to the one behind it.
  static int64_t first(float pixel, int side) {
    return static_cast<int64_t>(std::min(std::max(pixel, 0.0f), 1e6f)) / side;
  }
  static int64_t last(float pixel, int side, int64_t patches) {
    if (!(pixel >= 0.0f)) return 0;
    return std::min(patches, static_cast<int64_t>(std::min(pixel, 1e6f)) / side + 1);
  }

  void cover(int64_t x0, int64_t x1, int64_t y0, int64_t y1, const Span& span, Span* spans) const {
    for (int64_t y = y0; y < y1; ++y) {
      for (int64_t x = x0; x < x1; ++x) {
        spans[y * across_ + x].widen(span);
      }
    }
  }

  int64_t squares_across() const { return (width_ + kSquareSide - 1) / kSquareSide; }

  int64_t width_, height_;
  const float *pose_, *k_;
  int64_t across_, down_;  // patches
  std::vector<Span> spans_;
};

}  // namespace fields
