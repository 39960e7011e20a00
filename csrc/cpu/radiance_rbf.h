// A radiance field of Gaussian kernels over tiles of samples: the features of a grid to the log of
// the density and to coefficients of the colour, which is the sigmoid of their sum with spherical
// harmonics of the direction (Bouzidi et al. 2025, section 4). The interface is that of radiance.h.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/radiance.h"
#include "cpu/tile_rbf.h"

namespace fields {

struct RbfRadianceShape {
  RbfShape rbf;  // outputs: log density, then coefficients [3][degree^2]
  int degree;    // of the harmonics

  // With the density alone.
  RbfShape sigma() const {
    RbfShape shape = rbf;
    shape.outputs = 1;
    return shape;
  }
};

struct RbfWeights {
  RbfWeights(const RbfRadianceShape& shape, const float* params, bool with_backward)
      : shape(shape),
        first(first_output(shape, params)),
        sigma(shape.sigma(), first.data(), false),
        values(shape.rbf, params, with_backward) {}

  // The flat vector of `sigma`: the same kernels, and of what is linear the first row.
  static std::vector<float> first_output(const RbfRadianceShape& shape, const float* params) {
    const RbfShape &all = shape.rbf, one = shape.sigma();
    std::vector<float> own(one.size());
    std::copy_n(params, all.weight_offset() + all.kernels, own.data());
    own[one.bias_offset()] = params[all.bias_offset()];
    if (all.affine) {
      std::copy_n(params + all.affine_offset(), all.inputs, own.data() + one.affine_offset());
    }
    return own;
  }

  RbfRadianceShape shape;
  std::vector<float> first;
  PackedRbf<Pack> sigma, values;
};

class RbfDensity {
 public:
  explicit RbfDensity(const RbfWeights& weights) : sigma_(weights.shape.sigma()) {}

  void forward(const RbfWeights& weights, const float* features, float* raw) {
    sigma_.forward(weights.sigma, features, raw);
  }

 private:
  TileRbf<Pack> sigma_;
};

class RbfTile {
 public:
  RbfTile(const RbfWeights& weights, bool)
      : weights_(weights),
        rbf_(weights.shape.rbf),
        terms_(weights.shape.degree * weights.shape.degree),
        values_(size_t(weights.shape.rbf.outputs) * kTile),
        harmonics_(size_t(terms_) * kTile),
        slopes_(3 * kTile) {}

  // features, directions [3] -> rgb [3]; returns raw [1].
  const float* forward(const float* features, const float* directions, float* rgb) {
    rbf_.forward(weights_.values, features, values_.data());
    tile_harmonics(weights_.shape.degree, directions, harmonics_.data());
    for (int c = 0; c < 3; ++c) {
      const float* coefficients = values_.data() + (1 + c * terms_) * kTile;
      for (int s = 0; s < kTile; s += kWidth) {
        Pack total = splat<Pack>(0.0f), slope;
        for (int i = 0; i < terms_; ++i) {
          const int at = i * kTile + s;
          total = fma(load<Pack>(coefficients + at), load<Pack>(harmonics_.data() + at), total);
        }
        store(rgb + c * kTile + s, activate(Activation::sigmoid, total, slope));
        store(slopes_.data() + c * kTile + s, slope);
      }
    }
    return values_.data();
  }

  // After forward of the same features: overwrites them with d loss / d features, and adds to the
  // padded sums. grad_rgb [3], grad_raw [1].
  void backward(float* features, const float* grad_rgb, const float* grad_raw, float* sums) {
    std::memcpy(values_.data(), grad_raw, kTile * sizeof(float));
    for (int c = 0; c < 3; ++c) {
      float* coefficients = values_.data() + (1 + c * terms_) * kTile;
      for (int s = 0; s < kTile; s += kWidth) {
        const int own = c * kTile + s;
        const Pack grad = load<Pack>(grad_rgb + own) * load<Pack>(slopes_.data() + own);
        for (int i = 0; i < terms_; ++i) {
          const int at = i * kTile + s;
          store(coefficients + at, grad * load<Pack>(harmonics_.data() + at));
        }
      }
    }
    rbf_.backward(weights_.values, features, values_.data(), sums, features);
  }

 private:
  const RbfWeights& weights_;
  TileRbf<Pack> rbf_;
  int terms_;  // of the harmonics
  Scratch<float> values_, harmonics_, slopes_;
};

struct RadianceRbf {
  using Shape = RbfRadianceShape;
  using Weights = RbfWeights;
  using Density = RbfDensity;
  using Tile = RbfTile;
  using Params = Trained;

  static Weights pack(const Shape& shape, const Params& params) {
    return Weights(shape, params.value, true);
  }
  static size_t sums_size(const Shape& shape) { return TileRbf<Pack>::gradient_size(shape.rbf); }
  static void update(const Shape& shape, const float* sums, int64_t groups, const Adam& adam,
                     const Params& params) {
    update_params<TileRbf<Pack>>(shape.rbf, sums, groups, sums_size(shape), adam, params);
  }
};

}  // namespace fields
