// Pixels drawn from the images of a scene, and the rays through them.
//
// Poses are OpenGL's: from camera to world, x right, y up, looking along -z.
#pragma once

#include "random.h"

namespace fields {

struct SceneImages {
  int64_t count, height, width;
  int channels;             // 3, or 4 with the alpha
  const float* poses;       // [count][3][4], in unit cubes
  const float* intrinsics;  // [count][4]: focal lengths along x and y, and the principal point
  const float* directions;  // [cameras][height][width][3] in the camera's axes, or null: a pinhole
  const int32_t* cameras;   // [count], which of them
};

// What stands behind an image: a colour, or with `random` another one each time.
struct Background {
  float colour[3];
  bool random;
};

// Other numbers than those that say where the rays of a march begin (march.h).
FIELDS_HD uint32_t draw_key(int64_t seed, int64_t step) {
  const uint32_t of_seed = mix(static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return mix(mix(of_seed, static_cast<uint32_t>(step)), 0x72617973u);
}

FIELDS_HD float unit_float(uint32_t bits) {
  return static_cast<float>(bits >> 8) * (1.0f / 16777216.0f);
}

// Any of `count` things, all alike.
FIELDS_HD int64_t draw_index(uint32_t key, uint32_t i, int64_t count) {
  const uint64_t high = mix(key, 2 * i), low = mix(key, 2 * i + 1);
  const uint64_t whole = static_cast<uint64_t>(count);
  // (high 2^32 + low) count / 2^64, for count < 2^32
  return static_cast<int64_t>((high * whole + (low * whole >> 32)) >> 32);
}

FIELDS_HD void camera_ray(const SceneImages& images, int64_t image, int64_t y, int64_t x,
                          float* origin, float* direction) {
  const float* pose = images.poses + 12 * image;
  float along[3];
  if (images.directions) {
    const float* from =
        images.directions + ((images.cameras[image] * images.height + y) * images.width + x) * 3;
    for (int d = 0; d < 3; ++d) along[d] = from[d];
  } else {
    const float* k = images.intrinsics + 4 * image;
    along[0] = (static_cast<float>(x) + 0.5f - k[2]) / k[0];
    along[1] = (k[3] - 0.5f - static_cast<float>(y)) / k[1];
    along[2] = -1.0f;
  }
  float length2 = 0.0f;
  for (int row = 0; row < 3; ++row) {
    float sum = 0.0f;
    for (int d = 0; d < 3; ++d) sum = fma(pose[4 * row + d], along[d], sum);
    direction[row] = sum;
    length2 = fma(sum, sum, length2);
    origin[row] = pose[4 * row + 3];
  }
  const float scale = 1.0f / sqrt(length2);
  for (int row = 0; row < 3; ++row) direction[row] *= scale;
}

// Colour [3] of a pixel over its background, which is behind it where it has an alpha.
template <class Pixel>
FIELDS_HD void pixel_colour(const Pixel* pixel, int channels, float scale,
                            const Background& background, uint32_t key, uint32_t i, float* behind,
                            float* colour) {
  const float alpha = channels == 4 ? static_cast<float>(pixel[3]) * scale : 1.0f;
  for (int c = 0; c < 3; ++c) {
    behind[c] = background.random ? unit_float(mix(key + 1u + static_cast<uint32_t>(c), i))
                                  : background.colour[c];
    const float own = static_cast<float>(pixel[c]) * scale;
    colour[c] = fma(alpha, own - behind[c], behind[c]);
  }
}

}  // namespace fields
