// Gaussian kernels and a linear layer over one tile of samples, forward and backward, without
// leaving cache. TileRbf has the interface of TileMlp: either may stand behind a hash grid.
//
// Distances have samples across lanes. Gradients of centres and precisions are sums over samples,
// so there features lie across lanes and the sums stay in registers: [kTile][stride], the stride
// being the features rounded up to whole packs. Kernels are rounded up to whole blocks; the padding
// has precision 0 and no weight, so that it changes nothing.
#pragma once

#include <cstddef>
#include <type_traits>

#include "cpu/matrix.h"
#include "cpu/pack_maths.h"
#include "cpu/tile_mlp.h"
#include "maths/rbf.h"

namespace fields {

// Kernels whose distances to a run of samples are summed at once, and whose gradients are.
#if defined(__AVX512F__)
constexpr int kDistanceBlock = 8;
#else
constexpr int kDistanceBlock = 4;
#endif
constexpr int kGradientBlock = 4;

// The lanes that serve a dtype.
template <class S>
using LanesOf = std::conditional_t<std::is_same_v<S, double>, double, Pack>;

inline int round_to_block(int kernels) {
  return (kernels + kDistanceBlock - 1) / kDistanceBlock * kDistanceBlock;
}

template <class V>
class PackedRbf {
 public:
  using S = ScalarOf<V>;

  PackedRbf(const RbfShape& shape, const S* params, bool with_backward)
      : shape_(shape),
        stride_(round_to_pack<V>(shape.inputs)),
        centres_(size_t(round_to_block(shape.kernels)) * stride_),
        precisions_(centres_.size()),
        centre_blocks_(size_t(round_to_block(shape.kernels)) * shape.inputs),
        precision_blocks_(centre_blocks_.size()),
        forward_(size_t(shape.outputs) * shape.units()),
        backward_(with_backward ? forward_.size() : 0),
        params_(params) {
    centres_.zero();
    precisions_.zero();
    for (int i = 0; i < shape.kernels; ++i) {
      for (int d = 0; d < shape.inputs; ++d) {
        centres_[size_t(i) * stride_ + d] = params[int64_t(i) * shape.inputs + d];
        precisions_[size_t(i) * stride_ + d] =
            fields::exp(params[shape.table() + int64_t(i) * shape.inputs + d]);
      }
    }
    S *centre = centre_blocks_.data(), *precision = precision_blocks_.data();
    for (int i = 0; i < shape.kernels; i += kDistanceBlock) {
      for (int d = 0; d < shape.inputs; ++d) {
        for (int j = 0; j < kDistanceBlock; ++j) {
          *centre++ = centres_[size_t(i + j) * stride_ + d];
          *precision++ = precisions_[size_t(i + j) * stride_ + d];
        }
      }
    }
    // The linear layer takes kernels and features as one matrix.
    const int units = shape.units();
    Scratch<S> joined(forward_.size());
    for (int o = 0; o < shape.outputs; ++o) {
      const S* weight = params + shape.weight_offset() + int64_t(o) * shape.kernels;
      const S* affine = params + shape.affine_offset() + int64_t(o) * shape.inputs;
      for (int u = 0; u < units; ++u) {
        joined[size_t(o) * units + u] = u < shape.kernels ? weight[u] : affine[u - shape.kernels];
      }
    }
    pack_blocks<V>(joined.data(), units, 1, shape.outputs, units, forward_.data());
    if (with_backward) {
      pack_blocks<V>(joined.data(), 1, units, units, shape.outputs, backward_.data());
    }
  }

  const RbfShape& shape() const { return shape_; }
  int stride() const { return stride_; }
  // [kernels][stride], padded with zeros.
  const S* centres(int kernel) const { return centres_.data() + size_t(kernel) * stride_; }
  const S* precisions(int kernel) const { return precisions_.data() + size_t(kernel) * stride_; }
  // [inputs][kDistanceBlock] of the block that begins with `kernel`.
  const S* centre_block(int kernel) const {
    return centre_blocks_.data() + size_t(kernel) * shape_.inputs;
  }
  const S* precision_block(int kernel) const {
    return precision_blocks_.data() + size_t(kernel) * shape_.inputs;
  }
  const S* forward() const { return forward_.data(); }
  const S* backward() const { return backward_.data(); }
  const S* weights(int output) const {
    return params_ + shape_.weight_offset() + int64_t(output) * shape_.kernels;
  }
  const S* bias() const { return params_ + shape_.bias_offset(); }
  const S* affine(int output) const {
    return params_ + shape_.affine_offset() + int64_t(output) * shape_.inputs;
  }

 private:
  RbfShape shape_;
  int stride_;
  Scratch<S> centres_, precisions_, centre_blocks_, precision_blocks_, forward_, backward_;
  const S* params_;
};

// Where the sums of a group of tiles stand: gradients of centres and of log precisions
// [kernels][stride], of the joined linear layer [outputs][units rounded up], of the bias.
template <class V>
struct RbfGradientLayout {
  int kernels, stride, outputs, unit_stride;

  explicit RbfGradientLayout(const RbfShape& shape)
      : kernels(round_to_block(shape.kernels)),
        stride(round_to_pack<V>(shape.inputs)),
        outputs(shape.outputs),
        unit_stride(round_to_pack<V>(shape.units())) {}
  size_t log_precisions() const { return size_t(kernels) * stride; }
  size_t weights() const { return 2 * log_precisions(); }
  size_t bias() const { return weights() + size_t(outputs) * unit_stride; }
  size_t size() const { return bias() + outputs; }
};

template <class V>
class TileRbf {
 public:
  using S = ScalarOf<V>;
  using Lanes = V;
  using Shape = RbfShape;
  using Packed = PackedRbf<V>;
  static constexpr int width = Lane<V>::width;

  explicit TileRbf(const RbfShape& shape)
      : shape_(shape),
        layout_(shape),
        hidden_(size_t(layout_.kernels + shape.inputs) * kTile),
        output_slope_(size_t(shape.outputs) * kTile),
        kernel_grad_(size_t(layout_.kernels) * kTile),
        affine_grad_(shape.affine ? size_t(shape.inputs) * kTile : 0),
        units_(size_t(kTile) * layout_.unit_stride),
        features_(size_t(kTile) * layout_.stride),
        features_grad_(features_.size()) {
    // The padding stays zero: nothing writes to it.
    kernel_grad_.zero();
    units_.zero();
    features_.zero();
  }

  static size_t gradient_size(const RbfShape& shape) { return RbfGradientLayout<V>(shape).size(); }

  // params_grad [shape.size()] += the padded sums
  static void add_gradients(const RbfShape& shape, const S* padded, S* params_grad) {
    const RbfGradientLayout<V> at(shape);
    for (int i = 0; i < shape.kernels; ++i) {
      const S* centre = padded + size_t(i) * at.stride;
      S* out = params_grad + int64_t(i) * shape.inputs;
      for (int d = 0; d < shape.inputs; ++d) {
        out[d] += centre[d];
        out[shape.table() + d] += centre[at.log_precisions() + d];
      }
    }
    for (int o = 0; o < shape.outputs; ++o) {
      const S* row = padded + at.weights() + size_t(o) * at.unit_stride;
      S* weight = params_grad + shape.weight_offset() + int64_t(o) * shape.kernels;
      S* affine = params_grad + shape.affine_offset() + int64_t(o) * shape.inputs;
      for (int i = 0; i < shape.kernels; ++i) weight[i] += row[i];
      for (int u = shape.kernels; u < shape.units(); ++u) affine[u - shape.kernels] += row[u];
      params_grad[shape.bias_offset() + o] += padded[at.bias() + o];
    }
  }

  // x [inputs][kTile] -> y [outputs][kTile]
  void forward(const Packed& packed, const S* x, S* y) {
    for (int i = 0; i < shape_.kernels; i += kDistanceBlock) {
      for (int column = 0; column < kTile; column += 2 * width) {
        kernel_block(packed, i, x + column, hidden_.data() + i * kTile + column);
      }
    }
    if (shape_.affine) {
      std::memcpy(hidden_.data() + size_t(shape_.kernels) * kTile, x,
                  size_t(shape_.inputs) * kTile * sizeof(S));
    }
    const S* bias = packed.bias();
    multiply<V, 1, 0>(packed.forward(), hidden_.data(), kTile, shape_.outputs, shape_.units(),
                      TileColumns{}, [&](int row, int column, V z) {
                        store<V>(y + row * kTile + column, z + splat<V>(bias[row]));
                      });
    if (shape_.output == Activation::none) return;
    for (int i = 0; i < shape_.outputs * kTile; i += width) {
      V slope;
      store<V>(y + i, activate(shape_.output, load<V>(y + i), slope));
      store<V>(output_slope_.data() + i, slope);
    }
  }

  // After forward of the same x: dy [outputs][kTile] = d loss / d y (overwritten), sums into
  // `padded`, and writes dx [inputs][kTile] unless it is null; dx may be x itself.
  void backward(const Packed& packed, const S* x, S* dy, S* padded, S* dx) {
    if (shape_.output != Activation::none) {
      for (int i = 0; i < shape_.outputs * kTile; i += width) {
        store<V>(dy + i, load<V>(dy + i) * load<V>(output_slope_.data() + i));
      }
    }
    linear_gradient(dy, padded);
    const V scale = splat<V>(S(-2 * shape_.factor));
    multiply<V, 1, 0>(packed.backward(), dy, kTile, shape_.units(), shape_.outputs, TileColumns{},
                      [&](int row, int column, V value) {
                        const int at = row * kTile + column;
                        if (row < shape_.kernels) {
                          const V phi = load<V>(hidden_.data() + at);
                          store<V>(kernel_grad_.data() + at, scale * phi * value);
                        } else {
                          store<V>(affine_grad_.data() + at - shape_.kernels * kTile, value);
                        }
                      });
    kernel_gradients(packed, x, padded, nullptr);
    if (dx) features_gradient(dx);
  }

 protected:
  // phi of a block of kernels at two packs of samples.
  void kernel_block(const Packed& packed, int kernel, const S* x, S* phi) const {
    const S* centre = packed.centre_block(kernel);
    const S* precision = packed.precision_block(kernel);
    V r[kDistanceBlock][2];
#pragma GCC unroll 8
    for (int j = 0; j < kDistanceBlock; ++j) r[j][0] = r[j][1] = splat<V>(S(0));
    for (int d = 0; d < shape_.inputs; ++d, centre += kDistanceBlock, precision += kDistanceBlock) {
      const V left = load<V>(x + d * kTile), right = load<V>(x + d * kTile + width);
#pragma GCC unroll 8
      for (int j = 0; j < kDistanceBlock; ++j) {
        const V mu = splat<V>(centre[j]), beta = splat<V>(precision[j]);
        const V a = left - mu, b = right - mu;
        r[j][0] = fma(beta * a, a, r[j][0]);
        r[j][1] = fma(beta * b, b, r[j][1]);
      }
    }
    const S factor = S(shape_.factor);
    for (int j = 0; j < kDistanceBlock; ++j) {
      store<V>(phi + j * kTile, gaussian(r[j][0], factor));
      store<V>(phi + j * kTile + width, gaussian(r[j][1], factor));
    }
  }

  // Sums d loss / d of weights, affine part and bias from that of the outputs before activation.
  void linear_gradient(const S* grad, S* padded) {
    const int stride = layout_.unit_stride;
    transpose(hidden_.data(), kTile, units_.data(), stride, shape_.units(), kTile);
    S* weights = padded + layout_.weights();
    multiply<V, kTile, 1>(grad, units_.data(), stride, shape_.outputs, kTile, stride,
                          [&](int row, int column, V value) {
                            S* at = weights + size_t(row) * stride + column;
                            store<V>(at, load<V>(at) + value);
                          });
    for (int o = 0; o < shape_.outputs; ++o) {
      V total = splat<V>(S(0));
      for (int s = 0; s < kTile; s += width) total = total + load<V>(grad + o * kTile + s);
      padded[layout_.bias() + o] += sum(total);
    }
  }

  // Sums d loss / d of centres and log precisions, and leaves that of the features in
  // features_grad_. With g = kernel_grad_, what stands before beta (F - mu) in d loss / d F:
  //   dF = sum_i beta e,  dmu = -beta e,  dlogbeta = beta (F - mu) (e - g (F - mu) / 2),
  //   e = g (F - mu) + extra
  // `extra(kernel, sample, column)` is a pack of features, or null for none.
  template <class Extra>
  void kernel_gradients(const Packed& packed, const S* x, S* padded, const Extra& extra) {
    const int stride = layout_.stride;
    transpose(x, kTile, features_.data(), stride, shape_.inputs, kTile);
    features_grad_.zero();
    for (int column = 0; column < stride; column += width) {
      for (int i = 0; i < shape_.kernels; i += kGradientBlock) {
        V centre[kGradientBlock], precision[kGradientBlock];
        V first[kGradientBlock], second[kGradientBlock];
#pragma GCC unroll 4
        for (int j = 0; j < kGradientBlock; ++j) {
          centre[j] = load<V>(packed.centres(i + j) + column);
          precision[j] = load<V>(packed.precisions(i + j) + column);
          first[j] = second[j] = splat<V>(S(0));
        }
        const S* g = kernel_grad_.data() + i * kTile;
        for (int s = 0; s < kTile; ++s) {
          const V f = load<V>(features_.data() + s * stride + column);
          V total = load<V>(features_grad_.data() + s * stride + column);
#pragma GCC unroll 4
          for (int j = 0; j < kGradientBlock; ++j) {
            const V difference = f - centre[j];
            V e = splat<V>(g[j * kTile + s]) * difference, bent = e;
            if constexpr (!std::is_null_pointer<Extra>::value) {
              const V more = extra(i + j, s, column);
              bent = bent + more + more;
              e = e + more;
            }
            first[j] = first[j] + e;
            second[j] = fma(bent, difference, second[j]);
            total = fma(precision[j], e, total);
          }
          store<V>(features_grad_.data() + s * stride + column, total);
        }
#pragma GCC unroll 4
        for (int j = 0; j < kGradientBlock; ++j) {
          S* at = padded + size_t(i + j) * stride + column;
          store<V>(at, load<V>(at) - precision[j] * first[j]);
          at += layout_.log_precisions();
          store<V>(at, fma(precision[j] * splat<V>(S(0.5)), second[j], load<V>(at)));
        }
      }
    }
  }

  void features_gradient(S* dx) const {
    transpose(features_grad_.data(), layout_.stride, dx, kTile, kTile, shape_.inputs);
    if (!shape_.affine) return;
    for (int i = 0; i < shape_.inputs * kTile; i += width) {
      store<V>(dx + i, load<V>(dx + i) + load<V>(affine_grad_.data() + i));
    }
  }

  RbfShape shape_;
  RbfGradientLayout<V> layout_;
  Scratch<S> hidden_;        // [units][kTile]: phi, then the features where there is an affine part
  Scratch<S> output_slope_;  // [outputs][kTile]
  Scratch<S> kernel_grad_;   // [kernels][kTile]: -2 factor phi d loss / d phi
  Scratch<S> affine_grad_;   // [inputs][kTile]
  Scratch<S> units_;         // hidden_ transposed
  Scratch<S> features_;      // [kTile][stride]
  Scratch<S> features_grad_;  // [kTile][stride]
};

}  // namespace fields
