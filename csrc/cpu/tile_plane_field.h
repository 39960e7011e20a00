// One small field over one tile of samples, forward and backward; and its fit, all steps of it, by
// one thread. The planes of 32 x 32 texels with their gradient and moments take 786 kB: they and
// the MLP stay in a core's L2 from the first step to the last.
#pragma once

#include "cpu/adam.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_mlp.h"
#include "cpu/tile_planes.h"
#include "maths/loss.h"
#include "maths/plane_field.h"

namespace fields {

// Matrices are [rows][kTile]; x is [3][kTile] in [0, 1].
class TilePlaneField {
 public:
  TilePlaneField(const PlaneFieldShape& shape, bool with_backward)
      : shape_(shape),
        mlp_(shape.mlp, with_backward),
        input_(size_t(shape.mlp.inputs) * kTile),
        features_(size_t(kTile) * shape.planes.channels) {}

  // y [outputs][kTile] at the first `count` samples.
  void forward(const float* planes, const PackedMlp<Pack>& packed, const float* x, int count,
               float* y) {
    encode(PlaneTile<float, 3>(shape_.planes, x, count), planes, x, count);
    mlp_.forward(packed, input_.data(), y);
  }

  // The same, then `slope(y)`, which puts d loss / d y in its place, and the sums of gradients.
  template <class Slope>
  void step(const float* planes, const PackedMlp<Pack>& packed, const float* x, int count, float* y,
            const Slope& slope, float* padded, float* grad_planes) {
    const PlaneTile<float, 3> tile(shape_.planes, x, count);
    encode(tile, planes, x, count);
    mlp_.forward(packed, input_.data(), y);
    slope(y);
    mlp_.backward(packed, input_.data(), y, padded, input_.data());
    transpose(input_.data(), kTile, features_.data(), shape_.planes.channels,
              shape_.planes.channels, kTile);
    tile.scatter(features_.data(), grad_planes);
  }

 private:
  void encode(const PlaneTile<float, 3>& tile, const float* planes, const float* x, int count) {
    const int channels = shape_.planes.channels;
    if (count < kTile) features_.zero();
    tile.encode<false>(planes, features_.data(), nullptr);
    transpose(features_.data(), channels, input_.data(), kTile, kTile, channels);
    for (int s = 0; s < kTile; s += kWidth) {
      const Pack place[3] = {load<Pack>(x + s), load<Pack>(x + kTile + s),
                             load<Pack>(x + 2 * kTile + s)};
      float* rows = input_.data() + size_t(channels) * kTile + s;
      positional(shape_.octaves, place,
                 [&](int row, Pack value) { store<Pack>(rows + size_t(row) * kTile, value); });
    }
  }

  PlaneFieldShape shape_;
  TileMlp<Pack> mlp_;
  Scratch<float> input_, features_;  // [inputs][kTile], [kTile][channels]
};

// Numbers below 2^-126 are taken for 0 while it lives: moments of texels that no sample reaches any
// more fall below it, and each would cost a hundred cycles.
class FlushedDenormals {
 public:
#if defined(__SSE2__)
  FlushedDenormals() : before_(__builtin_ia32_stmxcsr()) {
    __builtin_ia32_ldmxcsr(before_ | 0x8040);
  }
  ~FlushedDenormals() { __builtin_ia32_ldmxcsr(before_); }

 private:
  unsigned before_;
#else
  FlushedDenormals() {}
#endif
};

// One field of a set, all its steps. `losses` [steps] receives the loss before each.
class PlaneFieldTask {
 public:
  PlaneFieldTask(const PlaneFieldShape& shape, Loss loss, const PlaneFieldFit& fit)
      : shape_(shape),
        loss_(loss),
        fit_(fit),
        field_(shape, true),
        grad_planes_(shape.plane_numbers()),
        grad_params_(shape.mlp.size()),
        padded_(TileMlp<Pack>::gradient_size(shape.mlp)),
        y_(size_t(shape.mlp.outputs) * kTile),
        target_(size_t(shape.mlp.outputs) * kTile) {
    grad_planes_.zero();
  }

  void run(const float* samples, int64_t pool, int64_t key, float* planes, float* planes_m,
           float* planes_v, float* params, float* params_m, float* params_v, float* losses) {
    const FlushedDenormals flushed;
    for (int64_t i = 0; i < fit_.steps; ++i) {
      const int64_t step = fit_.first_step + i;
      losses[i] = gradients(samples, pool, pool_key(key, step), planes, params);
      const double share = fit_.share_at(step);
      const auto adam = [&](double lr) {
        return make_adam(step, lr * share, fit_.beta1, fit_.beta2, fit_.eps, 0.0);
      };
      adam_range(adam(fit_.lr_params), params, grad_params_.data(), params_m, params_v,
                 shape_.mlp.size(), false);
      adam_range(adam(fit_.lr_planes), planes, grad_planes_.data(), planes_m, planes_v,
                 shape_.plane_numbers(), false);
      grad_planes_.zero();
    }
  }

 private:
  float gradients(const float* samples, int64_t pool, uint32_t key, const float* planes,
                  const float* params) {
    const PackedMlp<Pack> packed(shape_.mlp, params, true);
    padded_.zero();
    double total = 0;
    for (int64_t tile = 0; tile < num_tiles(fit_.batch); ++tile) {
      const int count = tile_samples(fit_.batch, tile);
      alignas(64) float x[3 * kTile];
      draw(samples, pool, key, tile, count, x);
      field_.step(
          planes, packed, x, count, y_.data(), [&](float* y) { total += slope(count, y); },
          padded_.data(), grad_planes_.data());
    }
    grad_params_.zero();
    TileMlp<Pack>::add_gradients(shape_.mlp, padded_.data(), grad_params_.data());
    return static_cast<float>(total / (double(fit_.batch) * shape_.mlp.outputs));
  }

  void draw(const float* samples, int64_t pool, uint32_t key, int64_t tile, int count, float* x) {
    const int channels = shape_.mlp.outputs, row = 3 + channels;
    for (int s = 0; s < kTile; ++s) {
      // Padding repeats the last sample, and gets no gradient.
      const int64_t i = tile * kTile + std::min(s, count - 1);
      const float* sample = samples + row * draw_from_pool(key, i, fit_.batch, pool);
      // Clamped, so that texels are in bounds whatever the caller passes; NaN becomes 0.
      for (int d = 0; d < 3; ++d) x[d * kTile + s] = min(max(sample[d], 0.0f), 1.0f);
      for (int c = 0; c < channels; ++c) target_[c * kTile + s] = sample[3 + c];
    }
  }

  // Turns y into d loss / d y; returns the sum of the tile's losses.
  double slope(int count, float* y) {
    const int outputs = shape_.mlp.outputs;
    const Pack scale = splat<Pack>(1.0f / (float(fit_.batch) * float(outputs)));
    Pack total = splat<Pack>(0.0f);
    for (int i = 0; i < outputs * kTile; i += kWidth) {
      alignas(64) float real[kWidth];
      for (int j = 0; j < kWidth; ++j) real[j] = i % kTile + j < count ? 1.0f : 0.0f;
      const Pack counted = load<Pack>(real);
      Pack slope;
      const Pack term = loss_term(loss_, load<Pack>(y + i), load<Pack>(target_.data() + i), slope);
      total = fma(term, counted, total);
      store(y + i, slope * counted * scale);
    }
    return sum(total);
  }

  PlaneFieldShape shape_;
  Loss loss_;
  PlaneFieldFit fit_;
  TilePlaneField field_;
  Scratch<float> grad_planes_, grad_params_, padded_, y_, target_;
};

}  // namespace fields
