// Bricks as a camera sees them: a thread for each pixel, from the face of the cube to its end.
#include <torch/csrc/stable/library.h>

#include "cpu/bricks_tensors.h"
#include "cuda/launch.cuh"

namespace fields::cuda {
namespace {

struct PixelRays {
  BrickCameras cameras;
  BrickWalk walk;

  __device__ RayWalk<float> begin(int64_t camera, int64_t pixel) const {
    return begin_at_pixel<float>(
        walk.rule, cameras.poses + 12 * camera, cameras.intrinsics + 4 * camera,
        static_cast<float>(pixel % cameras.width), static_cast<float>(pixel / cameras.width));
  }
};

__global__ void draw(const Bricks bricks, const PixelRays rays, float* colours, float* opacity,
                     float* depth) {
  const int64_t pixel = thread_index();
  if (pixel >= rays.cameras.pixels()) return;
  RayWalk<float> walk = rays.begin(0, pixel);
  float harmonics[kMostHarmonicDegree * kMostHarmonicDegree];
  spherical_harmonics(bricks.degree, walk.ray.direction,
                      [&](int i, float value) { harmonics[i] = value; });
  float shown[1 + kRowBytes][3];
  palette_along(bricks, harmonics, shown);
  float transmittance = 1.0f, sum = 0.0f, rgb[3] = {};
  march_bricks(bricks, rays.walk.rule, rays.walk.limits, walk, transmittance,
               [&](float weight, const InBrick<float>& in, float t) {
                 float own[3];
                 brick_colour(bricks, in, shown, own);
                 for (int c = 0; c < 3; ++c) rgb[c] = fma(weight, own[c], rgb[c]);
                 sum = fma(weight, t, sum);
               });
  const float seen = 1.0f - transmittance;
  for (int c = 0; c < 3; ++c) colours[3 * pixel + c] = min(max(rgb[c], 0.0f), seen);
  opacity[pixel] = seen;
  depth[pixel] = sum;
}

__global__ void see(const Bricks bricks, const PixelRays rays, uint8_t* flags) {
  const int64_t pixel = thread_index();
  if (pixel >= rays.cameras.pixels()) return;
  RayWalk<float> walk = rays.begin(blockIdx.y, pixel);
  float transmittance = 1.0f;
  march_bricks(bricks, rays.walk.rule, rays.walk.limits, walk, transmittance,
               [&](float, const InBrick<float>& in, float) {
                 uint8_t* flag = flags + in.vertex / kBrickBytes * size_t(kBrickVertexCount) +
                                 in.vertex % kBrickBytes;
                 for (int i = 0; i < 8; ++i) flag[brick_corner(i)] = 1;  // all write the same
               });
}

std::tuple<Tensor, Tensor, Tensor> bricks_render(Tensor pose, Tensor intrinsics, int64_t width,
                                                 int64_t height, BRICKS, BRICK_WALK,
                                                 double /*shared_weight*/, std::optional<Tensor>) {
  const Bricks bricks = checked_bricks(BRICK_ARGUMENTS);
  const PixelRays rays{checked_cameras(pose, intrinsics, width, height),
                       checked_walk(BRICK_WALK_ARGUMENTS)};
  STD_TORCH_CHECK(rays.cameras.count == 1, "a picture has one camera");
  const Device device(pose);
  const int64_t pixels = rays.cameras.pixels();
  const BrickPicture picture(pose, pixels);
  launch_each(device, draw, pixels, 1, bricks, rays, write<float>(picture.colours),
              write<float>(picture.opacity), write<float>(picture.depth));
  return {picture.colours, picture.opacity, picture.depth};
}

Tensor bricks_seen(Tensor poses, Tensor intrinsics, int64_t width, int64_t height, BRICKS,
                   BRICK_WALK) {
  const Bricks bricks = checked_bricks(BRICK_ARGUMENTS);
  const PixelRays rays{checked_cameras(poses, intrinsics, width, height),
                       checked_walk(BRICK_WALK_ARGUMENTS)};
  const Device device(poses);
  Tensor seen = zeros_of(vertices, {vertices.size(0), kBrickVertexCount});
  launch_each(device, see, rays.cameras.pixels(), static_cast<int>(rays.cameras.count), bricks,
              rays, write<uint8_t>(seen));
  return seen;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("bricks_render", TORCH_BOX(&fields::cuda::bricks_render));
  m.impl("bricks_seen", TORCH_BOX(&fields::cuda::bricks_seen));
}
