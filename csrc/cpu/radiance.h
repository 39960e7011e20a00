// A radiance field (maths/radiance.h) over tiles of samples.
#pragma once

#include "cpu/tile_grid.h"
#include "cpu/tile_mlp.h"
#include "maths/radiance.h"
#include "maths/spherical_harmonics.h"

namespace fields {

struct RadianceShape {
  MlpShape density, colour;
  int degree;  // of the harmonics

  // The density MLP with its first output alone: its parameters are the first of the flat vector.
  MlpShape sigma() const {
    MlpShape shape = density;
    shape.outputs = 1;
    return shape;
  }
};

// Parameters of a call, packed once and shared by all threads.
template <class Mlp>
struct RadianceWeights {
  RadianceWeights(const RadianceShape& shape, const float* density_params,
                  const float* colour_params, bool with_backward)
      : sigma(shape.sigma(), density_params, false),
        density(shape.density, density_params, with_backward),
        colour(shape.colour, colour_params, with_backward) {}

  typename Mlp::Packed sigma, density, colour;
};

// One thread's workspace for one tile. Matrices are [rows][kTile].
template <class Mlp>
class RadianceTile {
 public:
  RadianceTile(const RadianceShape& shape, const RadianceWeights<Mlp>& weights, bool with_backward)
      : degree_(shape.degree),
        weights_(weights),
        density_(shape.density, with_backward),
        colour_(shape.colour, with_backward),
        inputs_(size_t(shape.colour.inputs) * kTile),
        grad_(with_backward ? inputs_.size() : 0) {}

  // features, directions [3] -> rgb [3]; returns raw [1].
  const float* forward(const float* features, const float* directions, float* rgb) {
    density_.forward(weights_.density, features, inputs_.data());
    float* harmonics = inputs_.data() + kRadianceFeatures * kTile;
    for (int s = 0; s < kTile; s += kWidth) {
      const float* at = directions + s;
      const Pack d[3] = {load<Pack>(at), load<Pack>(at + kTile), load<Pack>(at + 2 * kTile)};
      spherical_harmonics(degree_, d,
                          [&](int i, Pack y) { store<Pack>(harmonics + i * kTile + s, y); });
    }
    colour_.forward(weights_.colour, inputs_.data(), rgb);
    return inputs_.data();
  }

  // After forward of the same features: overwrites them with d loss / d features, and adds to the
  // padded sums of both MLPs. grad_rgb [3] is overwritten; grad_raw [1].
  void backward(float* features, float* grad_rgb, const float* grad_raw, float* density_sums,
                float* colour_sums) {
    colour_.backward(weights_.colour, inputs_.data(), grad_rgb, colour_sums, grad_.data());
    for (int s = 0; s < kTile; s += kWidth) {
      store(grad_.data() + s, load<Pack>(grad_.data() + s) + load<Pack>(grad_raw + s));
    }
    density_.backward(weights_.density, features, grad_.data(), density_sums, features);
  }

 private:
  int degree_;
  const RadianceWeights<Mlp>& weights_;
  Mlp density_, colour_;
  Scratch<float> inputs_, grad_;
};

}  // namespace fields
