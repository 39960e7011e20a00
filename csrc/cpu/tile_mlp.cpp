// The bodies of TileMlp, compiled once for all ops: its products are the most of what there is to
// compile.
#include "cpu/tile_mlp.h"

namespace fields {

template <class V>
void TileMlp<V>::forward(const Packed& packed, const S* x, S* y) {
  const S* input = x;
  for (int l = 0; l < shape_.depth; ++l) {
    hidden_layer(packed, l, input);
    input = hidden(l);
  }
  output_layer(packed, input, y);
}

template <class V>
void TileMlp<V>::backward(const Packed& packed, const S* x, S* dy, S* padded, S* dx) {
  output_gradient(dy);
  const S* grad = dy;
  S* layer_grad = padded + gradient_size(shape_);
  for (int l = shape_.depth; l >= 0; --l) {
    layer_grad -= padded_layer_size(shape_, l);
    const S* input = l == 0 ? x : hidden(l - 1);
    weight_gradient(l, grad, input, layer_grad);
    if (l == 0) {
      if (dx) {
        multiply<V, 1, 0>(
            packed.backward(0), grad, kTile, shape_.inputs, shape_.layer_outputs(0), TileColumns{},
            [&](int row, int column, V value) { store<V>(dx + row * kTile + column, value); });
      }
      return;
    }
    S* below = gradient_below(l);
    hidden_gradient(packed, l, grad, below);
    grad = below;
  }
}

template <class V>
void TileMlp<V>::output_layer(const Packed& packed, const S* input, S* y) {
  layer_product(packed, shape_.depth, input, [&](int at, V z) { store<V>(y + at, z); });
  if (shape_.output == Activation::none) return;
  for (int i = 0; i < shape_.outputs * kTile; i += Lane<V>::width) {
    V slope;
    store<V>(y + i, activate(shape_.output, load<V>(y + i), slope));
    store<V>(output_slope_.data() + i, slope);
  }
}

template <class V>
template <Activation A>
void TileMlp<V>::periodic_layer(const Packed& packed, int l, const S* input, S omega, S* out,
                                S* slopes) {
  V derivative;
  if (!slopes) {
    return layer_product(packed, l, input, [&](int at, V z) {
      store<V>(out + at, activate(A, z, derivative, omega));
    });
  }
  layer_product(packed, l, input, [&](int at, V z) {
    store<V>(out + at, activate(A, z, derivative, omega));
    store<V>(slopes + at, derivative);
  });
}

template <class V>
void TileMlp<V>::hidden_layer(const Packed& packed, int l, const S* input) {
  const S omega = S(shape_.layer_omega(l));
  const V zero = splat<V>(S(0));
  S* out = hidden(l);
  S* slopes = with_slopes_ ? slope(l) : nullptr;
  switch (shape_.hidden) {
    case Activation::relu:
      return layer_product(packed, l, input,
                           [&](int at, V z) { store<V>(out + at, max(zero, z)); });
    case Activation::sine:
      return periodic_layer<Activation::sine>(packed, l, input, omega, out, slopes);
    case Activation::finer:
      return periodic_layer<Activation::finer>(packed, l, input, omega, out, slopes);
    default:
      layer_product(packed, l, input, [&](int at, V z) { store<V>(out + at, z); });
  }
  for (int i = 0; i < shape_.width * kTile; i += Lane<V>::width) {
    V derivative;
    store<V>(out + i, activate(shape_.hidden, load<V>(out + i), derivative));
    if (slopes) store<V>(slopes + i, derivative);
  }
}

template <class V>
void TileMlp<V>::hidden_gradient(const Packed& packed, int l, const S* grad, S* below) {
  const S* weights = packed.backward(l);
  const int depth = shape_.layer_outputs(l);
  const V zero = splat<V>(S(0));
  if (shape_.hidden == Activation::relu) {
    const S* values = hidden(l - 1);
    multiply<V, 1, 0>(weights, grad, kTile, shape_.width, depth, TileColumns{},
                      [&](int row, int column, V value) {
                        const int at = row * kTile + column;
                        store<V>(below + at, select(load<V>(values + at) > zero, value, zero));
                      });
  } else {
    const S* slopes = slope(l - 1);
    multiply<V, 1, 0>(weights, grad, kTile, shape_.width, depth, TileColumns{},
                      [&](int row, int column, V value) {
                        const int at = row * kTile + column;
                        store<V>(below + at, value * load<V>(slopes + at));
                      });
  }
}

template <class V>
void TileMlp<V>::weight_gradient(int l, const S* grad, const S* input, S* layer_grad) {
  const int in = shape_.layer_inputs(l), out = shape_.layer_outputs(l);
  const int stride = round_to_pack<V>(in);
  transpose(input, kTile, transposed_.data(), stride, in, kTile);
  if (stride != in) clear_padding(in, stride);
  multiply<V, kTile, 1>(grad, transposed_.data(), stride, out, kTile, stride,
                        [&](int row, int column, V value) {
                          S* at = layer_grad + row * stride + column;
                          store<V>(at, load<V>(at) + value);
                          // Wide layers' sums are not in cache; fetch those of the next block.
                          __builtin_prefetch(at + Block<V>::rows * stride, 1);
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

template class TileMlp<Pack>;
template class TileMlp<double>;

}  // namespace fields
