// Batches of pixels drawn from a picture in memory.
#include <torch/csrc/stable/library.h>

#include "cpu/parallel.h"
#include "cpu/tensors.h"
#include "maths/pixels.h"

namespace fields {
namespace {

template <class Pixel>
void draw(const Pixel* pixels, int64_t height, int64_t width, int channels, float scale,
          const PixelSampler& sampler, int64_t count, float* coords, float* values) {
  constexpr int64_t kChunk = 1024;
  const float inv_width = 1.0f / static_cast<float>(width);
  const float inv_height = 1.0f / static_cast<float>(height);
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min(count, (task + 1) * kChunk); ++i) {
      const uint64_t index = stratified_pixel(sampler, static_cast<uint32_t>(i));
      const uint64_t y = index / static_cast<uint64_t>(width);
      const uint64_t x = index - y * static_cast<uint64_t>(width);
      coords[2 * i] = (static_cast<float>(x) + 0.5f) * inv_width;
      coords[2 * i + 1] = (static_cast<float>(y) + 0.5f) * inv_height;
      for (int c = 0; c < channels; ++c) {
        values[i * channels + c] = static_cast<float>(pixels[index * channels + c]) * scale;
      }
    }
  });
}

std::tuple<Tensor, Tensor> sample_pixels(Tensor pixels, int64_t count, int64_t seed, int64_t step) {
  STD_TORCH_CHECK(pixels.dim() == 3 && pixels.numel() > 0, "pixels must be [H, W, C], not empty");
  STD_TORCH_CHECK(count >= 1 && count < (int64_t(1) << 31), "count out of range");
  const int64_t height = pixels.size(0), width = pixels.size(1), channels = pixels.size(2);
  const auto sampler = make_pixel_sampler(height * width, count, seed, step);
  const auto floats = [&](int64_t columns) {
    return torch::stable::new_empty(pixels, {count, columns}, ScalarType::Float);
  };
  Tensor coords = floats(2), values = floats(channels);
  const auto run = [&](auto* data, float scale) {
    draw(data, height, width, static_cast<int>(channels), scale, sampler, count,
         write<float>(coords), write<float>(values));
  };
  switch (pixels.scalar_type()) {
    case ScalarType::Byte:
      run(read<uint8_t>(pixels), 1.0f / 255.0f);
      break;
    case ScalarType::UInt16:
      run(read<uint16_t>(pixels), 1.0f / 65535.0f);
      break;
    case ScalarType::Float:
      run(read<float>(pixels), 1.0f);
      break;
    default:
      STD_TORCH_CHECK(false, "pixels must be uint8, uint16 or float32");
  }
  return {coords, values};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("sample_pixels", TORCH_BOX(&fields::sample_pixels));
}
