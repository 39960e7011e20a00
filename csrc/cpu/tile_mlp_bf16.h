// TileMlp (tile_mlp.h) in bf16 (pairs_bf16.h). Parameters, gradients and values stay float32.
#pragma once

#include "cpu/pairs_bf16.h"
#include "cpu/tile_mlp.h"

namespace fields {

class PackedMlpBf16 {
 public:
  using Pair = bf16::Pair;

  PackedMlpBf16(const MlpShape& shape, const float* params, bool with_backward)
      : shape_(shape),
        forward_(total(shape, true)),
        backward_(with_backward ? total(shape, false) : 0),
        bias_(shape.bias ? size_t(shape.layers()) * std::max(shape.width, shape.outputs) : 0) {
    Pair* forward = forward_.data();
    Pair* backward = backward_.data();
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      const float* w = params + shape.weight_offset(l);
      const float scale = static_cast<float>(shape.weight_scale(l));
      if (shape.bias) {
        const float* b = params + shape.bias_offset(l);
        float* packed = bias_.data() + bias_offset(l);
        for (int i = 0; i < out; ++i) packed[i] = static_cast<float>(shape.bias_scale(l)) * b[i];
      }
      bf16::pack_blocks(w, in, 1, out, in, forward, scale);
      forward += size_t(out) * bf16::pairs(in);
      if (!with_backward) continue;
      bf16::pack_blocks(w, 1, in, in, out, backward, scale);
      backward += size_t(in) * bf16::pairs(out);
    }
  }
  const Pair* forward(int layer) const {
    const Pair* at = forward_.data();
    for (int l = 0; l < layer; ++l) {
      at += size_t(shape_.layer_outputs(l)) * bf16::pairs(shape_.layer_inputs(l));
    }
    return at;
  }
  const Pair* backward(int layer) const {
    const Pair* at = backward_.data();
    for (int l = 0; l < layer; ++l) {
      at += size_t(shape_.layer_inputs(l)) * bf16::pairs(shape_.layer_outputs(l));
    }
    return at;
  }
  const float* bias(int layer) const { return bias_.data() + bias_offset(layer); }

 private:
  size_t bias_offset(int layer) const {
    return size_t(layer) * std::max(shape_.width, shape_.outputs);
  }
  static size_t total(const MlpShape& shape, bool forward) {
    size_t size = 0;
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      size += forward ? size_t(out) * bf16::pairs(in) : size_t(in) * bf16::pairs(out);
    }
    return size;
  }

  MlpShape shape_;
  Scratch<Pair> forward_, backward_;
  Scratch<float> bias_;
};

class TileMlpBf16 {
 public:
  using S = float;
  using Shape = MlpShape;
  using Packed = PackedMlpBf16;
  using Pair = bf16::Pair;

  explicit TileMlpBf16(const MlpShape& shape, bool = true)
      : shape_(shape),
        input_(size_t(bf16::pairs(shape.inputs)) * kTile),
        hidden_(size_t(shape.depth) * row_pairs() * kTile),
        slope_(shape.hidden == Activation::relu ? 0 : size_t(shape.depth) * shape.width * kTile),
        values_(size_t(shape.width) * kTile),
        output_slope_(size_t(shape.outputs) * kTile),
        grad_(2 * size_t(std::max(row_pairs(), bf16::pairs(shape.outputs))) * kTile),
        left_(size_t(std::max(shape.width, shape.outputs)) * kTile / 2),
        right_(size_t(kTile / 2) * widest()),
        scratch_(size_t(kTile) * widest() / 2) {
    right_.zero();
    scratch_.zero();
  }

  static size_t gradient_size(const MlpShape& shape) {
    size_t size = 0;
    for (int l = 0; l < shape.layers(); ++l) size += padded_layer_size(shape, l);
    return size;
  }

  template <class Body>
  static void for_runs(const MlpShape& shape, const Body& body) {
    for_gradient_runs<float>(shape, padded_row, body);
  }

  static void add_gradients(const MlpShape& shape, const float* padded, float* params_grad) {
    for_runs(shape, [&](int64_t to, int64_t from, int64_t count, float scale) {
      for (int64_t i = 0; i < count; ++i) params_grad[to + i] += scale * padded[from + i];
    });
  }

  void forward(const Packed& packed, const float* x, float* y);

  // As TileMlp::backward; the tile's input is the one of the last forward.
  void backward(const Packed& packed, const float*, float* dy, float* padded, float* dx);

 private:
  // Rows of a weight gradient, in whole pairs of packs.
  static int padded_row(int in) { return (in + 2 * kWidth - 1) / (2 * kWidth) * (2 * kWidth); }
  static size_t padded_layer_size(const MlpShape& shape, int l) {
    return size_t(shape.layer_outputs(l)) *
           (padded_row(shape.layer_inputs(l)) + (shape.bias ? 1 : 0));
  }
  static void store_row(float* out, int row, int column, __m512 value, const float* bias) {
    if (bias) value = _mm512_add_ps(value, _mm512_set1_ps(bias[row]));
    _mm512_storeu_ps(out + row * kTile + column, value);
  }

  int row_pairs() const { return bf16::pairs(shape_.width); }
  int widest() const { return padded_row(std::max(shape_.inputs, shape_.width)); }
  Pair* hidden(int l) { return hidden_.data() + size_t(l) * row_pairs() * kTile; }
  float* slope(int l) { return slope_.data() + size_t(l) * shape_.width * kTile; }

  void hidden_layer(const Packed& packed, int l, const Pair* input);

  void hidden_gradient(const Packed& packed, int l, const Pair* grad, int depth, Pair* below);

  void weight_gradient(int l, const Pair* grad, const Pair* input, float* layer_grad);

  MlpShape shape_;
  Scratch<Pair> input_, hidden_;
  Scratch<float> slope_, values_, output_slope_;
  Scratch<Pair> grad_, left_, right_, scratch_;
};

}  // namespace fields
