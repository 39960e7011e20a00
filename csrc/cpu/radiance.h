// A radiance field (maths/radiance.h) over tiles of samples: what turns the features of a grid into
// density and colour. RadianceMlps and RadianceRbf (radiance_rbf.h) have one interface:
//
//   Weights     parameters of a call, packed once and shared by all threads
//   Density     one thread's workspace: forward(weights, features, raw [1])
//   Tile        one thread's workspace: forward(features, directions, rgb) -> raw, and backward,
//               which adds to sums of sums_size(shape) numbers
//   update      Adam on the parameters, from the sums of groups of tiles
//
// Matrices are [rows][kTile]; raw is the log of the density.
#pragma once

#include "cpu/adam.h"
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

// Numbers that are trained, and their moments.
struct Trained {
  float *value, *m, *v;
};

// Adam on a flat vector, from the padded sums of groups of tiles; `Decoder` is a TileMlp or
// TileRbf.
template <class Decoder>
void update_params(const typename Decoder::Shape& shape, const float* sums, int64_t groups,
                   size_t stride, const Adam& adam, const Trained& params) {
  Scratch<float> grad(shape.size());
  grad.zero();
  for (int64_t group = 0; group < groups; ++group) {
    Decoder::add_gradients(shape, sums + group * stride, grad.data());
  }
  adam_range(adam, params.value, grad.data(), params.m, params.v, shape.size(), false);
}

// Harmonics [degree^2][kTile] of directions [3][kTile].
inline void tile_harmonics(int degree, const float* directions, float* harmonics) {
  for (int s = 0; s < kTile; s += kWidth) {
    const float* at = directions + s;
    const Pack d[3] = {load<Pack>(at), load<Pack>(at + kTile), load<Pack>(at + 2 * kTile)};
    spherical_harmonics(degree, d, [&](int i, Pack y) { store(harmonics + i * kTile + s, y); });
  }
}

template <class Mlp>
struct MlpWeights {
  MlpWeights(const RadianceShape& shape, const float* density_params, const float* colour_params,
             bool with_backward)
      : shape(shape),
        sigma(shape.sigma(), density_params, false),
        density(shape.density, density_params, with_backward),
        colour(shape.colour, colour_params, with_backward) {}

  RadianceShape shape;
  typename Mlp::Packed sigma, density, colour;
};

template <class Mlp>
class MlpDensity {
 public:
  explicit MlpDensity(const MlpWeights<Mlp>& weights) : sigma_(weights.shape.sigma(), false) {}

  void forward(const MlpWeights<Mlp>& weights, const float* features, float* raw) {
    sigma_.forward(weights.sigma, features, raw);
  }

 private:
  Mlp sigma_;
};

template <class Mlp>
class MlpTile {
 public:
  MlpTile(const MlpWeights<Mlp>& weights, bool with_backward)
      : weights_(weights),
        density_(weights.shape.density, with_backward),
        colour_(weights.shape.colour, with_backward),
        inputs_(size_t(weights.shape.colour.inputs) * kTile),
        grad_(with_backward ? inputs_.size() : 0) {}

  // features, directions [3] -> rgb [3]; returns raw [1].
  const float* forward(const float* features, const float* directions, float* rgb) {
    density_.forward(weights_.density, features, inputs_.data());
    tile_harmonics(weights_.shape.degree, directions, inputs_.data() + kRadianceFeatures * kTile);
    colour_.forward(weights_.colour, inputs_.data(), rgb);
    return inputs_.data();
  }

  // After forward of the same features: overwrites them with d loss / d features, and adds to the
  // padded sums, those of the density first. grad_rgb [3] is overwritten; grad_raw [1].
  void backward(float* features, float* grad_rgb, const float* grad_raw, float* sums) {
    float* colour_sums = sums + Mlp::gradient_size(weights_.shape.density);
    colour_.backward(weights_.colour, inputs_.data(), grad_rgb, colour_sums, grad_.data());
    for (int s = 0; s < kTile; s += kWidth) {
      store(grad_.data() + s, load<Pack>(grad_.data() + s) + load<Pack>(grad_raw + s));
    }
    density_.backward(weights_.density, features, grad_.data(), sums, features);
  }

 private:
  const MlpWeights<Mlp>& weights_;
  Mlp density_, colour_;
  Scratch<float> inputs_, grad_;
};

// Two MLPs, to density and from that to colour.
template <class Mlp>
struct RadianceMlps {
  using Shape = RadianceShape;
  using Weights = MlpWeights<Mlp>;
  using Density = MlpDensity<Mlp>;
  using Tile = MlpTile<Mlp>;
  struct Params {
    Trained density, colour;
  };

  static Weights pack(const Shape& shape, const Params& params) {
    return Weights(shape, params.density.value, params.colour.value, true);
  }
  static size_t sums_size(const Shape& shape) {
    return Mlp::gradient_size(shape.density) + Mlp::gradient_size(shape.colour);
  }
  static void update(const Shape& shape, const float* sums, int64_t groups, const Adam& adam,
                     const Params& params) {
    const size_t stride = sums_size(shape);
    update_params<Mlp>(shape.density, sums, groups, stride, adam, params.density);
    update_params<Mlp>(shape.colour, sums + Mlp::gradient_size(shape.density), groups, stride, adam,
                       params.colour);
  }
};

}  // namespace fields
