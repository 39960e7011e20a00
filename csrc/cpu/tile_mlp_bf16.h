// TileMlp (tile_mlp.h) with bf16 products and float32 sums, for processors with AVX512_BF16.
//
// vdpbf16ps multiplies two pairs and adds both products to a float, so operands are kept as pairs,
// 32 bits each, the first of a pair in the low half:
//   "row pairs"    [rows / 2][kTile]   rows 2r and 2r + 1 of a tile matrix
//   "sample pairs" [rows][kTile / 2]   samples 2s and 2s + 1 of a row
// Odd numbers of rows are padded with a zero row. Parameters, gradients and values stay float32.
#pragma once

#include "cpu/tile_mlp.h"

namespace fields {

namespace bf16 {

using Pair = uint32_t;

// (low, high) of each lane, rounded to nearest even.
FIELDS_HD __m512i to_pairs(__m512 low, __m512 high) {
  const __m512i interleave =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(interleave, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

inline uint16_t round_scalar(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// C += A B over pairs of the inner dimension; see matrix.h. The epilogue takes two rows at once:
// epilogue(row, column, sum of row, sum of row + 1), the second undefined for a last odd row.
template <int Rows, int Packs, int RowStride, int KStride, class Epilogue>
FIELDS_HD void multiply_block(const Pair* a, const Pair* b, int b_stride, int depth, int row,
                              int column, const Epilogue& epilogue) {
  constexpr int k_stride = KStride ? KStride : Rows;
  __m512 sum[Rows + 1][Packs];
#pragma GCC unroll 16
  for (int i = 0; i <= Rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) sum[i][j] = _mm512_setzero_ps();
#pragma GCC unroll 2
  for (int k = 0; k < depth; ++k) {
    __m512bh right[Packs];
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) {
      right[j] = (__m512bh)_mm512_loadu_si512(b + size_t(k) * b_stride + j * kWidth);
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const __m512bh left = (__m512bh)_mm512_set1_epi32(a[i * RowStride + k * k_stride]);
#pragma GCC unroll 16
      for (int j = 0; j < Packs; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], left, right[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; i += 2)
#pragma GCC unroll 16
    for (int j = 0; j < Packs; ++j) {
      epilogue(row + i, column + j * kWidth, sum[i][j], sum[i + 1][j]);
    }
}

constexpr int kBlock = 8;

template <int Packs, int RowStride, int KStride, class Epilogue, int Rows>
inline void multiply_rows(int rows, const Pair* a, const Pair* b, int b_stride, int depth, int row,
                          int column, const Epilogue& epilogue, std::integral_constant<int, Rows>) {
  if (rows == Rows) {
    multiply_block<Rows, Packs, RowStride, KStride>(a, b, b_stride, depth, row, column, epilogue);
  } else if constexpr (Rows > 1) {
    multiply_rows<Packs, RowStride, KStride>(rows, a, b, b_stride, depth, row, column, epilogue,
                                             std::integral_constant<int, Rows - 1>{});
  }
}

template <int RowStride, int KStride, class Epilogue>
inline void multiply(const Pair* a, const Pair* b, int b_stride, int rows, int depth, int columns,
                     const Epilogue& epilogue) {
  int column = 0;
  const auto sweep = [&](auto packs_constant) {
    constexpr int P = decltype(packs_constant)::value;
    for (int row = 0; row < rows; row += kBlock) {
      const int height = std::min(kBlock, rows - row);
      const Pair* left = KStride ? a + size_t(row) * RowStride : a + size_t(row) * depth;
      multiply_rows<P, RowStride, KStride>(height, left, b + column, b_stride, depth, row, column,
                                           epilogue, std::integral_constant<int, kBlock>{});
    }
  };
  for (; column + 2 * kWidth <= columns; column += 2 * kWidth) {
    sweep(std::integral_constant<int, 2>{});
  }
  for (; column < columns; column += kWidth) sweep(std::integral_constant<int, 1>{});
}

inline int pairs(int rows) { return (rows + 1) / 2; }

// W [rows][depth], element (r, k) at w[r * row_stride + k * k_stride], as blocks of pairs along k.
inline void pack_blocks(const float* w, int64_t row_stride, int64_t k_stride, int rows, int depth,
                        Pair* packed) {
  for (int row = 0; row < rows; row += kBlock) {
    const int height = std::min(kBlock, rows - row);
    for (int k = 0; k < depth; k += 2) {
      for (int i = 0; i < height; ++i) {
        const float* at = w + (row + i) * row_stride + k * k_stride;
        const Pair high = k + 1 < depth ? round_scalar(at[k_stride]) : 0;
        *packed++ = round_scalar(*at) | high << 16;
      }
    }
  }
}

// Float rows [rows][kTile] -> row pairs.
inline void to_row_pairs(const float* x, int rows, Pair* out) {
  for (int r = 0; r < rows; r += 2) {
    for (int s = 0; s < kTile; s += kWidth) {
      const __m512 low = _mm512_loadu_ps(x + r * kTile + s);
      const __m512 high =
          r + 1 < rows ? _mm512_loadu_ps(x + (r + 1) * kTile + s) : _mm512_setzero_ps();
      _mm512_storeu_si512(out + r / 2 * kTile + s, to_pairs(low, high));
    }
  }
}

// Row pairs -> sample pairs, row by row: the left operand of a weight gradient.
inline void to_sample_pairs(const Pair* in, int rows, Pair* out) {
  const __m512i low_halves =
      _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                       24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i high_halves = _mm512_add_epi16(low_halves, _mm512_set1_epi16(1));
  for (int r = 0; r < rows; r += 2) {
    for (int s = 0; s < kTile; s += 2 * kWidth) {
      const __m512i a = _mm512_loadu_si512(in + r / 2 * kTile + s);
      const __m512i b = _mm512_loadu_si512(in + r / 2 * kTile + s + kWidth);
      Pair* row = out + r * (kTile / 2) + s / 2;
      _mm512_storeu_si512(row, _mm512_permutex2var_epi16(a, low_halves, b));
      if (r + 1 < rows) {
        _mm512_storeu_si512(row + kTile / 2, _mm512_permutex2var_epi16(a, high_halves, b));
      }
    }
  }
}

// Row pairs [rows / 2][kTile] -> [kTile / 2][stride]: pairs of samples, a row's numbers side by
// side; the right operand of a weight gradient. stride is a multiple of 2 packs; scratch holds
// [kTile][stride / 2].
inline void transpose_pairs(const Pair* in, int row_pairs, int stride, Pair* scratch, Pair* out) {
  transpose(reinterpret_cast<const float*>(in), kTile, reinterpret_cast<float*>(scratch),
            stride / 2, row_pairs, kTile);
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const __m512i first = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  for (int s = 0; s < kTile; s += 2) {
    for (int j = 0; j < stride / 2; j += kWidth) {
      const __m512i a = _mm512_loadu_si512(scratch + s * (stride / 2) + j);
      const __m512i b = _mm512_loadu_si512(scratch + (s + 1) * (stride / 2) + j);
      const __m512i even = _mm512_or_si512(_mm512_andnot_si512(high, a), _mm512_slli_epi32(b, 16));
      const __m512i odd = _mm512_or_si512(_mm512_srli_epi32(a, 16), _mm512_and_si512(b, high));
      Pair* row = out + s / 2 * stride + 2 * j;
      _mm512_storeu_si512(row, _mm512_permutex2var_epi32(even, first, odd));
      _mm512_storeu_si512(row + kWidth, _mm512_permutex2var_epi32(even, second, odd));
    }
  }
}

}  // namespace bf16

class PackedMlpBf16 {
 public:
  using Pair = bf16::Pair;

  PackedMlpBf16(const MlpShape& shape, const float* params, bool with_backward)
      : shape_(shape),
        forward_(total(shape, true)),
        backward_(with_backward ? total(shape, false) : 0),
        params_(params) {
    Pair* forward = forward_.data();
    Pair* backward = backward_.data();
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      const float* w = params + shape.weight_offset(l);
      bf16::pack_blocks(w, in, 1, out, in, forward);
      forward += size_t(out) * bf16::pairs(in);
      if (!with_backward) continue;
      bf16::pack_blocks(w, 1, in, in, out, backward);
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
  const float* bias(int layer) const { return params_ + shape_.bias_offset(layer); }

 private:
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
  const float* params_;
};

class TileMlpBf16 {
 public:
  using S = float;
  using Packed = PackedMlpBf16;
  using Pair = bf16::Pair;

  explicit TileMlpBf16(const MlpShape& shape)
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

  static void add_gradients(const MlpShape& shape, const float* padded, float* params_grad) {
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l), stride = padded_row(in);
      float* weight = params_grad + shape.weight_offset(l);
      for (int r = 0; r < out; ++r) {
        for (int c = 0; c < in; ++c) weight[r * in + c] += padded[r * stride + c];
      }
      padded += out * stride;
      if (!shape.bias) continue;
      float* bias = params_grad + shape.bias_offset(l);
      for (int r = 0; r < out; ++r) bias[r] += padded[r];
      padded += out;
    }
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
    for (int i = 0; i < width * kTile; i += kWidth) {
      Pack derivative;
      store<Pack>(z + i, activate(shape_.hidden, load<Pack>(z + i), derivative));
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
