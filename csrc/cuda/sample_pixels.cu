// Batches of pixels drawn from a picture in device memory: the same pixels as on the CPU.
#include <torch/csrc/stable/library.h>

#include "cuda/launch.cuh"
#include "maths/pixels.h"

namespace fields::cuda {
namespace {

template <class Pixel>
__global__ void draw(const Pixel* pixels, int64_t width, int channels, float scale, float inv_width,
                     float inv_height, const PixelSampler sampler, int64_t count, float* coords,
                     float* values) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const uint64_t index = stratified_pixel(sampler, static_cast<uint32_t>(i));
  const uint64_t y = index / static_cast<uint64_t>(width);
  const uint64_t x = index - y * static_cast<uint64_t>(width);
  coords[2 * i] = (static_cast<float>(x) + 0.5f) * inv_width;
  coords[2 * i + 1] = (static_cast<float>(y) + 0.5f) * inv_height;
  for (int c = 0; c < channels; ++c) {
    values[i * channels + c] = static_cast<float>(pixels[index * channels + c]) * scale;
  }
}

std::tuple<Tensor, Tensor> sample_pixels(Tensor pixels, int64_t count, int64_t seed, int64_t step) {
  STD_TORCH_CHECK(pixels.dim() == 3 && pixels.numel() > 0, "pixels must be [H, W, C], not empty");
  STD_TORCH_CHECK(count >= 1 && count < (int64_t(1) << 31), "count out of range");
  const Device device(pixels);
  const int64_t height = pixels.size(0), width = pixels.size(1);
  const int channels = static_cast<int>(pixels.size(2));
  const auto sampler = make_pixel_sampler(height * width, count, seed, step);
  Tensor coords = torch::stable::new_empty(pixels, {count, 2}, ScalarType::Float);
  Tensor values = torch::stable::new_empty(pixels, {count, channels}, ScalarType::Float);
  const auto run = [&](const auto* data, float scale) {
    using Pixel = std::remove_cv_t<std::remove_pointer_t<decltype(data)>>;
    launch_each(device, draw<Pixel>, count, 1, data, width, channels, scale,
                1.0f / static_cast<float>(width), 1.0f / static_cast<float>(height), sampler, count,
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
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("sample_pixels", TORCH_BOX(&fields::cuda::sample_pixels));
}
