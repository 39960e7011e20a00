// Bricks and the camera that looks at them as tensors: what their ops share, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/bricks.h"
#include "maths/camera_rays.h"

namespace fields {

// In the order of the schemas.
#define BRICKS \
  Tensor blocks, Tensor pages, Tensor vertices, Tensor colours, Tensor densities, Tensor palette
#define BRICK_ARGUMENTS blocks, pages, vertices, colours, densities, palette
#define BRICK_WALK double near, double step_length, double min_weight, double min_transmittance
#define BRICK_WALK_ARGUMENTS near, step_length, min_weight, min_transmittance

constexpr int64_t kMostBlocks = 128;       // along an axis
constexpr int64_t kMostBricks = 1 << 23;   // 2^31 bytes of vertices
constexpr int64_t kMostPicture = 1 << 28;  // pixels

// Numbers within the tensors are trusted: they are the bake's.
inline Bricks checked_bricks(BRICKS) {
  const int64_t along = blocks.size(0), harmonics = palette.size(2);
  int degree = 1;
  while (degree < kMostHarmonicDegree && degree * degree < harmonics) ++degree;
  STD_TORCH_CHECK(blocks.dim() == 3 && blocks.size(1) == along && blocks.size(2) == along &&
                      along >= 1 && along <= kMostBlocks,
                  "blocks must be [n, n, n]");
  STD_TORCH_CHECK(pages.dim() == 2 && pages.size(1) == kBlockBricks, "pages must be [P, 64]");
  STD_TORCH_CHECK(
      vertices.dim() == 2 && vertices.size(1) == kBrickBytes && vertices.size(0) < kMostBricks,
      "vertices must be [B, 256]");
  STD_TORCH_CHECK(colours.dim() == 2 && colours.size(1) == kRowBytes, "colours must be [R, 16]");
  STD_TORCH_CHECK(densities.numel() == 2 && palette.dim() == 3 &&
                      palette.size(0) == 1 + kRowBytes && palette.size(1) == 3 &&
                      degree * degree == harmonics,
                  "densities must be [2] and palette [17, 3, degree^2]");
  return {
      read<int32_t>(blocks),  read<int32_t>(pages), read<uint8_t>(vertices), read<uint8_t>(colours),
      read<float>(densities), read<float>(palette), static_cast<int>(along), degree};
}

// Pinholes that look at bricks, with pictures of one size.
struct BrickCameras {
  const float* poses;       // [count][3][4], from the camera to the unit cube
  const float* intrinsics;  // [count][4]
  int64_t count, width, height;

  FIELDS_HD int64_t pixels() const { return width * height; }
};

inline BrickCameras checked_cameras(const Tensor& poses, const Tensor& intrinsics, int64_t width,
                                    int64_t height) {
  const int64_t count = poses.size(0);
  STD_TORCH_CHECK(poses.dim() == 3 && poses.size(1) == 3 && poses.size(2) == 4 &&
                      intrinsics.dim() == 2 && intrinsics.size(0) == count &&
                      intrinsics.size(1) == 4,
                  "poses must be [C, 3, 4] and intrinsics [C, 4]");
  STD_TORCH_CHECK(width >= 0 && height >= 0 && width < (1 << 16) && height < (1 << 16) &&
                      width * height <= kMostPicture,
                  "pictures are too large");
  return {read<float>(poses), read<float>(intrinsics), count, width, height};
}

struct BrickWalk {
  MarchRule rule;
  MarchLimits limits;
};

inline BrickWalk checked_walk(BRICK_WALK) {
  STD_TORCH_CHECK(near >= 0 && near < 1e6 && step_length > 1e-6 && step_length < 1e3,
                  "near and step out of range");
  const float step = static_cast<float>(step_length);
  return {{static_cast<float>(near), 1e6f, step, 0.0f, step, false},
          {static_cast<float>(min_weight), static_cast<float>(min_transmittance)}};
}

// What comes out, a pixel at a time.
struct BrickPicture {
  explicit BrickPicture(const Tensor& like, int64_t pixels)
      : colours(empty_of(like, {pixels, 3})),
        opacity(empty_of(like, {pixels})),
        depth(empty_of(like, {pixels})) {}

  Tensor colours, opacity, depth;
};

// The walk through the centre of pixel (x, y).
template <class V>
FIELDS_HD RayWalk<V> begin_at_pixel(const MarchRule& rule, const float* pose, const float* k, V x,
                                    V y) {
  V along[3], direction[3];
  along_pinhole(k, x, y, along);
  turn_to_world(pose, along, direction);
  const V origin[3] = {splat<V>(pose[3]), splat<V>(pose[7]), splat<V>(pose[11])};
  return begin_walk<V>(rule, origin, direction, splat<V>(0.5f));
}

}  // namespace fields
