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

// Calls body(to, from, count, scale) for each run of parameters whose gradients lie side by side
// both in the flat vector (from `to` on) and in the padded sums (from `from` on), where they are to
// be multiplied by `scale`. padded_row(inputs): length of a row of sums.
template <class S, class Body>
void for_gradient_runs(const MlpShape& shape, int (*padded_row)(int), const Body& body) {
  int64_t from = 0;
  for (int l = 0; l < shape.layers(); ++l) {
    const int64_t in = shape.layer_inputs(l), out = shape.layer_outputs(l);
    const int64_t stride = padded_row(shape.layer_inputs(l)), to = shape.weight_offset(l);
    const S scale = S(shape.weight_scale(l));
    if (stride == in) {
      body(to, from, out * in, scale);
    } else {
      for (int64_t r = 0; r < out; ++r) body(to + r * in, from + r * stride, in, scale);
    }
    from += out * stride;
    if (!shape.bias) continue;
    body(shape.bias_offset(l), from, out, S(shape.bias_scale(l)));
    from += out;
  }
}

template <class V>
class PackedMlp {
 public:
  using S = ScalarOf<V>;

  PackedMlp(const MlpShape& shape, const S* params, bool with_backward)
      : shape_(shape), forward_(shape.size()), backward_(with_backward ? shape.size() : 0) {
    for (int l = 0; l < shape.layers(); ++l) {
      const int in = shape.layer_inputs(l), out = shape.layer_outputs(l);
      const S* w = params + shape.weight_offset(l);
      const S scale = S(shape.weight_scale(l));
      pack_blocks<V>(w, in, 1, out, in, forward_.data() + shape.weight_offset(l), scale);
      if (with_backward) {
        pack_blocks<V>(w, 1, in, in, out, backward_.data() + shape.weight_offset(l), scale);
      }
      if (!shape.bias) continue;
      for (int64_t i = 0; i < out; ++i) {
        const int64_t at = shape.bias_offset(l) + i;
        forward_[at] = S(shape.bias_scale(l)) * params[at];
      }
    }
  }
  const MlpShape& shape() const { return shape_; }
  const S* forward(int layer) const { return forward_.data() + shape_.weight_offset(layer); }
  const S* backward(int layer) const { return backward_.data() + shape_.weight_offset(layer); }
  const S* bias(int layer) const { return forward_.data() + shape_.bias_offset(layer); }

 private:
  MlpShape shape_;
  Scratch<S> forward_, backward_;
};

template <class V>
class TileMlp {
 public:
  using S = ScalarOf<V>;
  using Lanes = V;
  using Shape = MlpShape;
  using Packed = PackedMlp<V>;

  // Without backward there is room for two layers, and slopes are not computed.
  explicit TileMlp(const MlpShape& shape, bool with_backward = true)
      : shape_(shape),
        kept_(with_backward ? std::max(shape.depth, 1) : 2),
        with_slopes_(with_backward && shape.hidden != Activation::relu),
        hidden_(size_t(kept_) * shape.width * kTile),
        slope_(with_slopes_ ? hidden_.size() : 0),
        output_slope_(size_t(shape.outputs) * kTile),
        grad_(with_backward ? 2 * size_t(shape.width) * kTile : 0),
        transposed_(with_backward
                        ? size_t(kTile) * round_to_pack<V>(std::max(shape.inputs, shape.width))
                        : 0) {
    transposed_.zero();
  }

  static size_t gradient_size(const MlpShape& shape) {
    size_t size = 0;
    for (int l = 0; l < shape.layers(); ++l) size += padded_layer_size(shape, l);
    return size;
  }

  // See for_gradient_runs.
  template <class Body>
  static void for_runs(const MlpShape& shape, const Body& body) {
    for_gradient_runs<S>(shape, round_to_pack<V>, body);
  }

  // params_grad [shape.size()] += the padded sums
  static void add_gradients(const MlpShape& shape, const S* padded, S* params_grad) {
    for_runs(shape, [&](int64_t to, int64_t from, int64_t count, S scale) {
      for (int64_t i = 0; i < count; ++i) params_grad[to + i] += scale * padded[from + i];
    });
  }

  // x [inputs][kTile] -> y [outputs][kTile]
  void forward(const Packed& packed, const S* x, S* y);

  // After forward of the same x: dy [outputs][kTile] = d loss / d y (overwritten), sums into
  // `padded`, and writes dx [inputs][kTile] unless it is null; dx may be x itself.
  void backward(const Packed& packed, const S* x, S* dy, S* padded, S* dx);

 protected:  // TileCam puts more between product and activation
  static size_t padded_layer_size(const MlpShape& shape, int l) {
    const int out = shape.layer_outputs(l);
    return size_t(out) * (round_to_pack<V>(shape.layer_inputs(l)) + (shape.bias ? 1 : 0));
  }

  S* hidden(int l) { return hidden_.data() + size_t(l % kept_) * shape_.width * kTile; }
  S* slope(int l) { return slope_.data() + size_t(l) * shape_.width * kTile; }
  // Where the gradient of what layer l takes is kept.
  S* gradient_below(int l) { return grad_.data() + size_t(l & 1) * shape_.width * kTile; }

  void output_layer(const Packed& packed, const S* input, S* y);

  // dy by the output's activation
  void output_gradient(S* dy) {
    if (shape_.output == Activation::none) return;
    for (int i = 0; i < shape_.outputs * kTile; i += Lane<V>::width) {
      store<V>(dy + i, load<V>(dy + i) * load<V>(output_slope_.data() + i));
    }
  }

  // out = activation(W input + b), and its slope, as each block of the product is done. Activations
  // that are not worth a kernel of their own take a pass behind the product.
  void hidden_layer(const Packed& packed, int l, const S* input);

  template <Activation A>
  void periodic_layer(const Packed& packed, int l, const S* input, S omega, S* out, S* slopes);

  // Each pack z of W input + b and its place in a tile matrix to `epilogue(at, z)`.
  template <class Epilogue>
  void layer_product(const Packed& packed, int l, const S* input, const Epilogue& epilogue) {
    const S* weights = packed.forward(l);
    const int rows = shape_.layer_outputs(l), depth = shape_.layer_inputs(l);
    if (shape_.bias) {
      const S* bias = packed.bias(l);
      multiply<V, 1, 0>(weights, input, kTile, rows, depth, TileColumns{},
                        [&](int row, int column, V z) {
                          epilogue(row * kTile + column, z + splat<V>(bias[row]));
                        });
    } else {
      multiply<V, 1, 0>(weights, input, kTile, rows, depth, TileColumns{},
                        [&](int row, int column, V z) { epilogue(row * kTile + column, z); });
    }
  }

  // d loss / d z of layer l - 1 from that of layer l.
  void hidden_gradient(const Packed& packed, int l, const S* grad, S* below);

  // dW[row][column] += sum over samples of grad[row][s] input[column][s]
  void weight_gradient(int l, const S* grad, const S* input, S* layer_grad);

  void clear_padding(int in, int stride) {
    for (int s = 0; s < kTile; ++s) {
      for (int c = in; c < stride; ++c) transposed_[s * stride + c] = S(0);
    }
  }

 private:
  MlpShape shape_;
  int kept_;  // layers
  bool with_slopes_;
  Scratch<S> hidden_, slope_, output_slope_, grad_, transposed_;
};

extern template class TileMlp<Pack>;
extern template class TileMlp<double>;

}  // namespace fields
