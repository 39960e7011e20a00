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

  void forward(const Packed& packed, const float* x, float* y) {
    bf16::to_row_pairs(x, shape_.inputs, input_.data());
    const Pair* input = input_.data();
    for (int l = 0; l < shape_.depth; ++l) {
      hidden_layer(packed, l, input);
      input = hidden(l);
    }
    const int last = shape_.depth;
    const float* bias = shape_.bias ? packed.bias(last) : nullptr;
    const int outputs = shape_.outputs;
    bf16::multiply<1, 0>(packed.forward(last), input, kTile, outputs,
                         bf16::pairs(shape_.layer_inputs(last)), kTile,
                         [&](int row, int column, __m512 a, __m512 b) {
                           store_row(y, row, column, a, bias);
                           if (row + 1 < outputs) store_row(y, row + 1, column, b, bias);
                         });
    if (shape_.output == Activation::none) return;
    for (int i = 0; i < outputs * kTile; i += kWidth) {
      Pack slope;
      store<Pack>(y + i, activate(shape_.output, load<Pack>(y + i), slope));
      store<Pack>(output_slope_.data() + i, slope);
    }
  }

  // As TileMlp::backward; the tile's input is the one of the last forward.
  void backward(const Packed& packed, const float*, float* dy, float* padded, float* dx) {
    if (shape_.output != Activation::none) {
      for (int i = 0; i < shape_.outputs * kTile; i += kWidth) {
        store<Pack>(dy + i, load<Pack>(dy + i) * load<Pack>(output_slope_.data() + i));
      }
    }
    Pair* grad = grad_.data();
    bf16::to_row_pairs(dy, shape_.outputs, grad);
    float* layer_grad = padded + gradient_size(shape_);
    for (int l = shape_.depth; l >= 0; --l) {
      layer_grad -= padded_layer_size(shape_, l);
      weight_gradient(l, grad, l == 0 ? input_.data() : hidden(l - 1), layer_grad);
      const int depth = bf16::pairs(shape_.layer_outputs(l));
      if (l == 0) {
        if (!dx) return;
        const int inputs = shape_.inputs;
        bf16::multiply<1, 0>(packed.backward(0), grad, kTile, inputs, depth, kTile,
                             [&](int row, int column, __m512 a, __m512 b) {
                               store_row(dx, row, column, a, nullptr);
                               if (row + 1 < inputs) store_row(dx, row + 1, column, b, nullptr);
                             });
        return;
      }
      Pair* below = grad == grad_.data() ? grad_.data() + grad_.size() / 2 : grad_.data();
      hidden_gradient(packed, l, grad, depth, below);
      grad = below;
    }
  }

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

  void hidden_layer(const Packed& packed, int l, const Pair* input) {
    const float* bias = shape_.bias ? packed.bias(l) : nullptr;
    const int depth = bf16::pairs(shape_.layer_inputs(l)), width = shape_.width;
    Pair* out = hidden(l);
    if (shape_.hidden == Activation::relu) {
      const __m512 zero = _mm512_setzero_ps();
      bf16::multiply<1, 0>(packed.forward(l), input, kTile, width, depth, kTile,
                           [&](int row, int column, __m512 a, __m512 b) {
                             if (bias) {
                               a = _mm512_add_ps(a, _mm512_set1_ps(bias[row]));
                               if (row + 1 < width) {
                                 b = _mm512_add_ps(b, _mm512_set1_ps(bias[row + 1]));
                               }
                             }
                             _mm512_storeu_si512(
                                 out + row / 2 * kTile + column,
                                 bf16::to_pairs(_mm512_max_ps(zero, a), _mm512_max_ps(zero, b)));
                           });
      return;
    }
    float* z = values_.data();
    bf16::multiply<1, 0>(packed.forward(l), input, kTile, width, depth, kTile,
                         [&](int row, int column, __m512 a, __m512 b) {
                           store_row(z, row, column, a, bias);
                           if (row + 1 < width) store_row(z, row + 1, column, b, bias);
                         });
    float* slopes = slope(l);
    const float omega = static_cast<float>(shape_.layer_omega(l));
    for (int i = 0; i < width * kTile; i += kWidth) {
      Pack derivative;
      store<Pack>(z + i, activate(shape_.hidden, load<Pack>(z + i), derivative, omega));
      store<Pack>(slopes + i, derivative);
    }
    bf16::to_row_pairs(z, width, out);
  }

  void hidden_gradient(const Packed& packed, int l, const Pair* grad, int depth, Pair* below) {
    const int width = shape_.width;
    if (shape_.hidden == Activation::relu) {
      const Pair* values = hidden(l - 1);
      const __m512i magnitude = _mm512_set1_epi16(0x7fff);
      bf16::multiply<1, 0>(packed.backward(l), grad, kTile, width, depth, kTile,
                           [&](int row, int column, __m512 a, __m512 b) {
                             const int at = row / 2 * kTile + column;
                             const __m512i value = _mm512_loadu_si512(values + at);
                             const __mmask32 active = _mm512_test_epi16_mask(value, magnitude);
                             _mm512_storeu_si512(
                                 below + at, _mm512_maskz_mov_epi16(active, bf16::to_pairs(a, b)));
                           });
      return;
    }
    const float* slopes = slope(l - 1);
    bf16::multiply<1, 0>(packed.backward(l), grad, kTile, width, depth, kTile,
                         [&](int row, int column, __m512 a, __m512 b) {
                           const float* at = slopes + row * kTile + column;
                           a = _mm512_mul_ps(a, _mm512_loadu_ps(at));
                           if (row + 1 < width) b = _mm512_mul_ps(b, _mm512_loadu_ps(at + kTile));
                           _mm512_storeu_si512(below + row / 2 * kTile + column,
                                               bf16::to_pairs(a, b));
                         });
  }

  void weight_gradient(int l, const Pair* grad, const Pair* input, float* layer_grad) {
    const int in = shape_.layer_inputs(l), out = shape_.layer_outputs(l), stride = padded_row(in);
    bf16::to_sample_pairs(grad, out, left_.data());
    bf16::transpose_pairs(input, bf16::pairs(in), stride, scratch_.data(), right_.data());
    const auto add = [&](int row, int column, __m512 value) {
      if (column >= in) return;  // padding
      float* at = layer_grad + row * stride + column;
      _mm512_storeu_ps(at, _mm512_add_ps(_mm512_loadu_ps(at), value));
    };
    bf16::multiply<kTile / 2, 1>(left_.data(), right_.data(), stride, out, kTile / 2, stride,
                                 [&](int row, int column, __m512 a, __m512 b) {
                                   add(row, column, a);
                                   if (row + 1 < out) add(row + 1, column, b);
                                 });
    if (!shape_.bias) return;
    float* bias = layer_grad + size_t(out) * stride;
    const __m512bh one = (__m512bh)_mm512_set1_epi16(0x3f80);
    for (int r = 0; r < out; ++r) {
      __m512 total = _mm512_setzero_ps();
      for (int s = 0; s < kTile / 2; s += kWidth) {
        const __m512i row = _mm512_loadu_si512(left_.data() + r * (kTile / 2) + s);
        total = _mm512_dpbf16_ps(total, (__m512bh)row, one);
      }
      bias[r] += _mm512_reduce_add_ps(total);
    }
  }

  MlpShape shape_;
  Scratch<Pair> input_, hidden_;
  Scratch<float> slope_, values_, output_slope_;
  Scratch<Pair> grad_, left_, right_, scratch_;
};

}  // namespace fields
