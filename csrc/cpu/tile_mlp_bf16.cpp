// The bodies of TileMlpBf16, compiled once for all ops.
#if defined(__AVX512BF16__)
#include "cpu/tile_mlp_bf16.h"

namespace fields {

void TileMlpBf16::forward(const Packed& packed, const float* x, float* y) {
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

void TileMlpBf16::backward(const Packed& packed, const float*, float* dy, float* padded,
                           float* dx) {
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

void TileMlpBf16::hidden_layer(const Packed& packed, int l, const Pair* input) {
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

void TileMlpBf16::hidden_gradient(const Packed& packed, int l, const Pair* grad, int depth,
                                  Pair* below) {
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

void TileMlpBf16::weight_gradient(int l, const Pair* grad, const Pair* input, float* layer_grad) {
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

}  // namespace fields
#endif
