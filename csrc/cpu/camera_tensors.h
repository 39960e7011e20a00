// Images of a scene and their cameras as tensors, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/tiles.h"

namespace fields {

inline SceneImages checked_images(const Tensor& pixels, const Tensor& poses,
                                  const Tensor& intrinsics, const std::optional<Tensor>& directions,
                                  const std::optional<Tensor>& cameras) {
  STD_TORCH_CHECK(
      pixels.dim() == 4 && pixels.numel() > 0 && (pixels.size(3) == 3 || pixels.size(3) == 4),
      "pixels must be [N, H, W, 3 or 4], not empty");
  const int64_t count = pixels.size(0), height = pixels.size(1), width = pixels.size(2);
  STD_TORCH_CHECK(count * height * width < (int64_t(1) << 32), "too many pixels");
  STD_TORCH_CHECK(poses.numel() == 12 * count && intrinsics.numel() == 4 * count,
                  "poses must be [N, 3, 4] and intrinsics [N, 4]");
  STD_TORCH_CHECK(directions.has_value() == cameras.has_value() &&
                      (!directions || (directions->dim() == 4 && cameras->numel() == count &&
                                       directions->size(1) == height &&
                                       directions->size(2) == width && directions->size(3) == 3)),
                  "directions must be [K, H, W, 3] and cameras [N]");
  return {count,
          height,
          width,
          static_cast<int>(pixels.size(3)),
          read<float>(poses),
          read<float>(intrinsics),
          directions ? read<float>(*directions) : nullptr,
          cameras ? read<int32_t>(*cameras) : nullptr};
}

inline TileDraw checked_tiles(const SceneImages& images, const std::optional<Tensor>& upto,
                              const std::optional<Tensor>& starts, int64_t side,
                              const std::optional<Tensor>& among) {
  if (!upto) return {};
  STD_TORCH_CHECK(side >= 1, "side must be at least 1");
  const int64_t rows = (images.height + side - 1) / side,
                columns = (images.width + side - 1) / side;
  const int64_t tiles = images.count * rows * columns;
  STD_TORCH_CHECK(upto->numel() == tiles, "upto must be [tiles]");
  STD_TORCH_CHECK(
      starts.has_value() == among.has_value() && (!starts || starts->numel() == tiles + 1),
      "starts must be [tiles + 1], and belong to among");
  return {
      read<double>(*upto), tiles, rows, columns, side, starts ? read<int64_t>(*starts) : nullptr};
}

// Rays, and what is seen along them: origins, directions, colours, backgrounds [count][3] each, and
// the number of each ray's pixel.
struct RayTensors {
  RayTensors(const Tensor& like, int64_t count)
      : origins(like_of(like, count)),
        directions(like_of(like, count)),
        colours(like_of(like, count)),
        backgrounds(like_of(like, count)),
        pixels(torch::stable::new_empty(like, {count}, ScalarType::Long)) {}

  static Tensor like_of(const Tensor& like, int64_t count) {
    return torch::stable::new_empty(like, {count, 3}, ScalarType::Float);
  }
  std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> all() const {
    return {origins, directions, colours, backgrounds, pixels};
  }

  Tensor origins, directions, colours, backgrounds, pixels;
};

struct RayPointers {
  explicit RayPointers(const RayTensors& rays)
      : origins(write<float>(rays.origins)),
        directions(write<float>(rays.directions)),
        colours(write<float>(rays.colours)),
        backgrounds(write<float>(rays.backgrounds)),
        pixels(write<int64_t>(rays.pixels)) {}

  float *origins, *directions, *colours, *backgrounds;
  int64_t* pixels;
};

// Ray number i, of a pixel that is drawn already.
template <class Pixel>
FIELDS_HD void write_ray(const SceneImages& images, const Pixel* pixels, float scale,
                         const Background& background, uint32_t key, int64_t i, int64_t pixel,
                         const RayPointers& out) {
  const int64_t row = pixel / images.width, image = row / images.height;
  camera_ray(images, image, row - image * images.height, pixel - row * images.width,
             out.origins + 3 * i, out.directions + 3 * i);
  pixel_colour(pixels + pixel * images.channels, images.channels, scale, background, key,
               static_cast<uint32_t>(i), out.backgrounds + 3 * i, out.colours + 3 * i);
  out.pixels[i] = pixel;
}

// run(pixels, scale) for the dtype of the images; integers are shares of their largest value.
template <class Run>
void with_pixels(const Tensor& pixels, const Run& run) {
  switch (pixels.scalar_type()) {
    case ScalarType::Byte:
      return run(read<uint8_t>(pixels), 1.0f / 255.0f);
    case ScalarType::UInt16:
      return run(read<uint16_t>(pixels), 1.0f / 65535.0f);
    case ScalarType::Float:
      return run(read<float>(pixels), 1.0f);
    default:
      STD_TORCH_CHECK(false, "pixels must be uint8, uint16 or float32");
  }
}

}  // namespace fields
