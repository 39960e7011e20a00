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

// Through the centre of pixel (x, y), in the camera's axes; k: intrinsics of a pinhole.
template <class V>
FIELDS_HD void along_pinhole(const float* k, V x, V y, V (&along)[3]) {
  along[0] = (x + splat<V>(0.5f) - splat<V>(k[2])) / splat<V>(k[0]);
  along[1] = (splat<V>(k[3] - 0.5f) - y) / splat<V>(k[1]);
  along[2] = splat<V>(-1.0f);
}

// From the camera's axes to those of the world, of unit length.
template <class V>
FIELDS_HD void turn_to_world(const float* pose, const V (&along)[3], V (&direction)[3]) {
  V length2 = splat<V>(0.0f);
  for (int row = 0; row < 3; ++row) {
    V sum = splat<V>(0.0f);
    for (int d = 0; d < 3; ++d) sum = fma(splat<V>(pose[4 * row + d]), along[d], sum);
    direction[row] = sum;
    length2 = fma(sum, sum, length2);
  }
  const V scale = splat<V>(1.0f) / sqrt(length2);
  for (int row = 0; row < 3; ++row) direction[row] = direction[row] * scale;
}

FIELDS_HD void camera_ray(const SceneImages& images, int64_t image, int64_t y, int64_t x,
                          float* origin, float* direction) {
  const float* pose = images.poses + 12 * image;
  float along[3], turned[3];
  if (images.directions) {
    const float* from =
        images.directions + ((images.cameras[image] * images.height + y) * images.width + x) * 3;
    for (int d = 0; d < 3; ++d) along[d] = from[d];
  } else {
    along_pinhole(images.intrinsics + 4 * image, static_cast<float>(x), static_cast<float>(y),
                  along);
  }
  turn_to_world(pose, along, turned);
  for (int d = 0; d < 3; ++d) {
    origin[d] = pose[4 * d + 3];
    direction[d] = turned[d];
  }
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
