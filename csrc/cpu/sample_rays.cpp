// Batches of rays drawn from the images of a scene.
#include <torch/csrc/stable/library.h>

#include "cpu/camera_tensors.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int64_t kChunk = 256;

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> sample_rays(
    Tensor pixels, Tensor poses, Tensor intrinsics, std::optional<Tensor> directions,
    std::optional<Tensor> cameras, std::optional<Tensor> among, std::optional<Tensor> upto,
    std::optional<Tensor> starts, int64_t side, int64_t count, int64_t seed, int64_t step,
    bool random, double red, double green, double blue) {
  const SceneImages images = checked_images(pixels, poses, intrinsics, directions, cameras);
  STD_TORCH_CHECK(count >= 0 && count < (int64_t(1) << 31), "count out of range");
  const int64_t all = images.count * images.height * images.width;
  const int64_t choices = among ? among->numel() : all;
  STD_TORCH_CHECK(choices > 0 && choices < (int64_t(1) << 32), "nothing to draw from");
  const int64_t* chosen = among ? read<int64_t>(*among) : nullptr;
  const TileDraw tiles = checked_tiles(images, upto, starts, side, among);
  const Background background{
      {static_cast<float>(red), static_cast<float>(green), static_cast<float>(blue)}, random};
  const uint32_t key = draw_key(seed, step);
  const RayTensors rays(pixels, count);
  const RayPointers out(rays);
  with_pixels(pixels, [&](const auto* data, float scale) {
    parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
      // Pixels lie anywhere in memory: all of a chunk are fetched before the first is read.
      int64_t drawn[kChunk];
      const int64_t first = task * kChunk, number = std::min(kChunk, count - first);
      for (int64_t i = 0; i < number; ++i) {
        const uint32_t ray = static_cast<uint32_t>(first + i);
        drawn[i] = tiles.upto ? draw_tile(tiles, key, ray) : draw_index(key, ray, choices);
        if (chosen) __builtin_prefetch(chosen + (tiles.upto ? tiles.starts[drawn[i]] : drawn[i]));
      }
      for (int64_t i = 0; i < number; ++i) {
        if (tiles.upto) {
          drawn[i] = draw_pixel_of(tiles, images, drawn[i], chosen, choices, key,
                                   static_cast<uint32_t>(first + i));
        } else if (chosen) {
          drawn[i] = chosen[drawn[i]];
        }
        drawn[i] = std::min(std::max<int64_t>(drawn[i], 0), all - 1);
        __builtin_prefetch(data + drawn[i] * images.channels);
      }
      for (int64_t i = 0; i < number; ++i) {
        write_ray(images, data, scale, background, key, first + i, drawn[i], out);
      }
    });
  });
  return rays.all();
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("sample_rays", TORCH_BOX(&fields::sample_rays));
}
