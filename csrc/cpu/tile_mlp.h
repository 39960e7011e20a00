// A multilayer perceptron over one tile of samples, forward and backward, without leaving cache.
//
// Tile matrices are [rows][kTile]. A TileMlp is one thread's workspace; PackedMlp holds the weights
// of a call, shared by all threads. Gradients of the parameters are summed into a padded buffer
// (rows of a weight matrix rounded up to whole packs) that `add_gradients` folds into the flat
// vector.
#pragma once

#include <vector>

#include "cpu/matrix.h"
#include "cpu/pack_maths.h"
#include "maths/mlp_shape.h"

namespace fields {

template <class V>
constexpr int round_to_pack(int n) {
  return (n + Lane<V>::width - 1) / Lane<V>::width * Lane<V>::width;
}

template <class V>
class PackedMlp {
 public:
  using S = ScalarOf<V>;

  PackedMlp(const MlpShape& shape, const S* params, bool with_backward)
      : shape_(shape),
        forward_(shape.size()),
        backward_(with_backward ? shape.size() : 0),
        params_(params) {
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      const S* w = params + shape.weight_offset(l);
      pack_blocks<V>(w, in, 1, out, in, forward_.data() + shape.weight_offset(l));
      if (with_backward) {
        pack_blocks<V>(w, 1, in, in, out, backward_.data() + shape.weight_offset(l));
      }
    }
  }
  const MlpShape& shape() const { return shape_; }
  const S* forward(int layer) const { return forward_.data() + shape_.weight_offset(layer); }
  const S* backward(int layer) const { return backward_.data() + shape_.weight_offset(layer); }
  const S* bias(int layer) const { return params_ + shape_.bias_offset(layer); }

 private:
  MlpShape shape_;
  Scratch<S> forward_, backward_;
  const S* params_;
};

template <class V>
class TileMlp {
 public:
  using S = ScalarOf<V>;
  using Lanes = V;
  using Shape = MlpShape;
  using Packed = PackedMlp<V>;

  explicit TileMlp(const MlpShape& shape)
      : shape_(shape),
        hidden_(size_t(shape.depth) * shape.width * kTile),
        slope_(shape.hidden == Activation::relu ? 0 : hidden_.size()),
        output_slope_(size_t(shape.outputs) * kTile),
        grad_(2 * size_t(shape.width) * kTile),
        transposed_(size_t(kTile) * round_to_pack<V>(std::max(shape.inputs, shape.width))) {
    transposed_.zero();
  }

  static size_t gradient_size(const MlpShape& shape) {
    size_t size = 0;
    for (int l = 0; l < shape.layers(); ++l) size += padded_layer_size(shape, l);
    return size;
  }

  // params_grad [shape.size()] += the padded sums
  static void add_gradients(const MlpShape& shape, const S* padded, S* params_grad) {
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      const int stride = round_to_pack<V>(in);
      S* weight = params_grad + shape.weight_offset(l);
      for (int r = 0; r < out; ++r) {
        for (int c = 0; c < in; ++c) weight[r * in + c] += padded[r * stride + c];
      }
      padded += out * stride;
      if (shape.bias) {
        S* bias = params_grad + shape.bias_offset(l);
        for (int r = 0; r < out; ++r) bias[r] += padded[r];
        padded += out;
      }
    }
  }

  // x [inputs][kTile] -> y [outputs][kTile]
  void forward(const Packed& packed, const S* x, S* y) {
    const S* input = x;
    for (int l = 0; l < shape_.depth; ++l) {
      hidden_layer(packed, l, input);
      input = hidden(l);
    }
    const int last = shape_.depth;
    const S* bias = packed.bias(last);
    const bool has_bias = shape_.bias;
    multiply<V, 1, 0>(packed.forward(last), input, kTile, shape_.outputs, shape_.layer_inputs(last),
                      kTile, [&](int row, int column, V z) {
                        if (has_bias) z = z + splat<V>(bias[row]);
                        store<V>(y + row * kTile + column, z);
                      });
    if (shape_.output == Activation::none) return;
    for (int i = 0; i < shape_.outputs * kTile; i += Lane<V>::width) {
      V slope;
      store<V>(y + i, activate(shape_.output, load<V>(y + i), slope));
      store<V>(output_slope_.data() + i, slope);
    }
  }

  // After forward of the same x: dy [outputs][kTile] = d loss / d y (overwritten), sums into
  // `padded`, and writes dx [inputs][kTile] unless it is null; dx may be x itself.
  void backward(const Packed& packed, const S* x, S* dy, S* padded, S* dx) {
    if (shape_.output != Activation::none) {
      for (int i = 0; i < shape_.outputs * kTile; i += Lane<V>::width) {
        store<V>(dy + i, load<V>(dy + i) * load<V>(output_slope_.data() + i));
      }
    }
    const S* grad = dy;
    S* layer_grad = padded + gradient_size(shape_);
    for (int l = shape_.depth; l >= 0; --l) {
      layer_grad -= padded_layer_size(shape_, l);
      const S* input = l == 0 ? x : hidden(l - 1);
      weight_gradient(l, grad, input, layer_grad);
      if (l == 0) {
        if (dx) {
          multiply<V, 1, 0>(
              packed.backward(0), grad, kTile, shape_.inputs, shape_.layer_outputs(0), kTile,
              [&](int row, int column, V value) { store<V>(dx + row * kTile + column, value); });
        }
        return;
      }
      S* below = grad_.data() + size_t(l & 1) * shape_.width * kTile;
      hidden_gradient(packed, l, grad, below);
      grad = below;
    }
  }

 private:
  static size_t padded_layer_size(const MlpShape& shape, int l) {
    const int out = shape.layer_outputs(l);
    return size_t(out) * (round_to_pack<V>(shape.layer_inputs(l)) + (shape.bias ? 1 : 0));
  }

  S* hidden(int l) { return hidden_.data() + size_t(l) * shape_.width * kTile; }
  S* slope(int l) { return slope_.data() + size_t(l) * shape_.width * kTile; }

  void hidden_layer(const Packed& packed, int l, const S* input) {
    const S* weights = packed.forward(l);
    const S* bias = packed.bias(l);
    const int depth = shape_.layer_inputs(l);
    S* out = hidden(l);
    const V zero = splat<V>(S(0));
    if (shape_.hidden == Activation::relu && !shape_.bias) {
      multiply<V, 1, 0>(
          weights, input, kTile, shape_.width, depth, kTile,
          [&](int row, int column, V z) { store<V>(out + row * kTile + column, max(zero, z)); });
    } else if (shape_.hidden == Activation::relu) {
      multiply<V, 1, 0>(weights, input, kTile, shape_.width, depth, kTile,
                        [&](int row, int column, V z) {
                          store<V>(out + row * kTile + column, max(zero, z + splat<V>(bias[row])));
                        });
    } else {
      const bool has_bias = shape_.bias;
      multiply<V, 1, 0>(weights, input, kTile, shape_.width, depth, kTile,
                        [&](int row, int column, V z) {
                          if (has_bias) z = z + splat<V>(bias[row]);
                          store<V>(out + row * kTile + column, z);
                        });
      S* slopes = slope(l);
      for (int i = 0; i < shape_.width * kTile; i += Lane<V>::width) {
        V derivative;
        store<V>(out + i, activate(shape_.hidden, load<V>(out + i), derivative));
        store<V>(slopes + i, derivative);
      }
    }
  }

  // d loss / d z of layer l - 1 from that of layer l.
  void hidden_gradient(const Packed& packed, int l, const S* grad, S* below) {
    const S* weights = packed.backward(l);
    const int depth = shape_.layer_outputs(l);
    const V zero = splat<V>(S(0));
    if (shape_.hidden == Activation::relu) {
      const S* values = hidden(l - 1);
      multiply<V, 1, 0>(weights, grad, kTile, shape_.width, depth, kTile,
                        [&](int row, int column, V value) {
                          const int at = row * kTile + column;
                          store<V>(below + at, select(load<V>(values + at) > zero, value, zero));
                        });
    } else {
      const S* slopes = slope(l - 1);
      multiply<V, 1, 0>(weights, grad, kTile, shape_.width, depth, kTile,
                        [&](int row, int column, V value) {
                          const int at = row * kTile + column;
                          store<V>(below + at, value * load<V>(slopes + at));
                        });
    }
  }

  // dW[row][column] += sum over samples of grad[row][s] input[column][s]
  void weight_gradient(int l, const S* grad, const S* input, S* layer_grad) {
    const int in = shape_.layer_inputs(l), out = shape_.layer_outputs(l);
    const int stride = round_to_pack<V>(in);
    transpose(input, kTile, transposed_.data(), stride, in, kTile);
    if (stride != in) clear_padding(in, stride);
    multiply<V, kTile, 1>(grad, transposed_.data(), stride, out, kTile, stride,
                          [&](int row, int column, V value) {
                            S* at = layer_grad + row * stride + column;
                            store<V>(at, load<V>(at) + value);
                          });
    if (shape_.bias) {
      S* bias = layer_grad + out * stride;
      for (int r = 0; r < out; ++r) {
        V total = splat<V>(S(0));
        for (int s = 0; s < kTile; s += Lane<V>::width) {
          total = total + load<V>(grad + r * kTile + s);
        }
        bias[r] += sum(total);
      }
    }
  }

  void clear_padding(int in, int stride) {
    for (int s = 0; s < kTile; ++s) {
      for (int c = in; c < stride; ++c) transposed_[s * stride + c] = S(0);
    }
  }

  MlpShape shape_;
  Scratch<S> hidden_, slope_, output_slope_, grad_, transposed_;
};

}  // namespace fields
