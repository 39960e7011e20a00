// Batches of rays drawn from the images of a scene in device memory: the same rays as on the CPU.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/camera_tensors.h"

namespace fields::cuda {
namespace {

template <class Pixel>
__global__ void draw(const SceneImages images, const Pixel* pixels, float scale,
                     const Background background, uint32_t key, const int64_t* among,
                     int64_t choices, const TileDraw tiles, int64_t count, const RayPointers out) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const uint32_t ray = static_cast<uint32_t>(i);
  int64_t pixel;
  if (tiles.upto) {
    const int64_t tile = draw_tile(tiles, key, ray);
    pixel = draw_pixel_of(tiles, images, tile, among, choices, key, ray);
  } else {
    pixel = draw_index(key, ray, choices);
    if (among) pixel = among[pixel];
  }
  const int64_t last = images.count * images.height * images.width - 1;
  pixel = pixel < 0 ? 0 : pixel > last ? last : pixel;
  write_ray(images, pixels, scale, background, key, i, pixel, out);
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> sample_rays(
    Tensor pixels, Tensor poses, Tensor intrinsics, std::optional<Tensor> directions,
    std::optional<Tensor> cameras, std::optional<Tensor> among, std::optional<Tensor> upto,
    std::optional<Tensor> starts, int64_t side, int64_t count, int64_t seed, int64_t step,
    bool random, double red, double green, double blue) {
  const SceneImages images = checked_images(pixels, poses, intrinsics, directions, cameras);
  STD_TORCH_CHECK(count >= 0 && count < (int64_t(1) << 31), "count out of range");
  const int64_t choices = among ? among->numel() : images.count * images.height * images.width;
  STD_TORCH_CHECK(choices > 0 && choices < (int64_t(1) << 32), "nothing to draw from");
  const TileDraw tiles = checked_tiles(images, upto, starts, side, among);
  const Background background{
      {static_cast<float>(red), static_cast<float>(green), static_cast<float>(blue)}, random};
  const Device device(pixels);
  const RayTensors rays(pixels, count);
  const RayPointers out(rays);
  with_pixels(pixels, [&](const auto* data, float scale) {
    using Pixel = std::remove_cv_t<std::remove_pointer_t<decltype(data)>>;
    launch_each(device, draw<Pixel>, count, 1, images, data, scale, background,
                draw_key(seed, step), among ? read<int64_t>(*among) : nullptr, choices, tiles,
                count, out);
  });
  return rays.all();
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("sample_rays", TORCH_BOX(&fields::cuda::sample_rays));
}
