// What is seen along rays, in front of a background, as the bytes of a picture.
#include <torch/csrc/stable/library.h>

#include "cpu/parallel.h"
#include "cpu/tensors.h"

namespace fields {
namespace {

constexpr int64_t kPixels = 1 << 13;  // of a task

Tensor paint(Tensor colours, Tensor opacity, Tensor background) {
  const int64_t pixels = opacity.numel();
  STD_TORCH_CHECK(colours.numel() == 3 * pixels && background.numel() == 3,
                  "colours must be [N, 3], opacity [N] and background [3]");
  Tensor picture = torch::stable::new_empty(colours, {pixels, 3}, ScalarType::Byte);
  const float *from = read<float>(colours), *seen = read<float>(opacity);
  const float* behind = read<float>(background);
  uint8_t* to = write<uint8_t>(picture);
  parallel_tasks((pixels + kPixels - 1) / kPixels, [&](int64_t task, int) {
    const int64_t end = std::min(pixels, (task + 1) * kPixels);
    for (int64_t i = task * kPixels; i < end; ++i) {
      for (int c = 0; c < 3; ++c) {
        const float value = fma(1.0f - seen[i], behind[c], from[3 * i + c]);
        const float byte = min(255.0f, fma(value, 255.0f, 0.5f));
        to[3 * i + c] = static_cast<uint8_t>(byte > 0.0f ? byte : 0.0f);  // of NaN 0
      }
    }
  });
  return picture;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) { m.impl("paint", TORCH_BOX(&fields::paint)); }
