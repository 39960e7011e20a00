// Values of the Gaussian kernels with their derivative by the features, and the backward of both.
//
// With z = W phi + b + A F before the output activation, delta = F - mu and c = 2 factor:
//   dz_o / dF_d = K_od = A_od - c sum_i W_oi phi_i beta_id delta_id,   J_od = output'(z_o) K_od
// A jacobian is [outputs * inputs][kTile], output major.
#pragma once

#include "cpu/tile_rbf.h"

namespace fields {

template <class V>
class TileRbfWithGrad : public TileRbf<V> {
 public:
  using Base = TileRbf<V>;
  using S = typename Base::S;
  using Packed = typename Base::Packed;
  using Base::width;

  explicit TileRbfWithGrad(const RbfShape& shape)
      : Base(shape),
        slopes_(size_t(shape.outputs) * shape.inputs * kTile),
        weighted_(size_t(shape.kernels) * kTile),
        transposed_(size_t(shape.outputs) * kTile * round_to_pack<V>(shape.inputs)) {
    transposed_.zero();  // its padding stays so
  }

  // x [inputs][kTile] -> y [outputs][kTile], jacobian
  void forward_with_grad(const Packed& packed, const S* x, S* y, S* jacobian) {
    Base::forward(packed, x, y);
    const V scale = splat<V>(S(-2 * shape_.factor));
    for (int o = 0; o < shape_.outputs; ++o) {
      const S* weights = packed.weights(o);
      for (int i = 0; i < shape_.kernels; ++i) {
        const V weight = scale * splat<V>(weights[i]);
        for (int s = 0; s < kTile; s += width) {
          store<V>(weighted_.data() + i * kTile + s, weight * phi(i, s));
        }
      }
      for (int d = 0; d < shape_.inputs; ++d) {
        const S start = shape_.affine ? packed.affine(o)[d] : S(0);
        const int row = (o * shape_.inputs + d) * kTile;
        for (int s = 0; s < kTile; s += width) {
          const V f = load<V>(x + d * kTile + s);
          V total = splat<V>(start);
          for (int i = 0; i < shape_.kernels; ++i) {
            const V scaled =
                splat<V>(packed.precisions(i)[d]) * (f - splat<V>(packed.centres(i)[d]));
            total = fma(load<V>(weighted_.data() + i * kTile + s), scaled, total);
          }
          store<V>(slopes_.data() + row + s, total);
          store<V>(jacobian + row + s, total * output_slope(o, s));
        }
      }
    }
  }

  // After forward_with_grad of the same x and y: from dy and djacobian (both overwritten) sums into
  // `padded` and dx, which may be x.
  void backward_with_grad(const Packed& packed, const S* x, const S* y, S* dy, S* djacobian,
                          S* padded, S* dx) {
    before_activation(y, dy, djacobian);
    const int inputs = shape_.inputs, stride = layout_.stride;
    Base::linear_gradient(dy, padded);
    this->kernel_grad_.zero();
    for (int o = 0; o < shape_.outputs; ++o) {
      kernels_through_slopes(packed, x, o, dy + o * kTile, djacobian + o * inputs * kTile,
                             padded + layout_.weights() + size_t(o) * layout_.unit_stride);
      transpose(djacobian + o * inputs * kTile, kTile,
                transposed_.data() + size_t(o) * kTile * stride, stride, inputs, kTile);
    }
    const S scale = S(-2 * shape_.factor);
    Base::kernel_gradients(packed, x, padded, [&](int kernel, int s, int column) {
      V total = splat<V>(S(0));
      if (kernel >= shape_.kernels) return total;
      for (int o = 0; o < shape_.outputs; ++o) {
        const S* row = transposed_.data() + (size_t(o) * kTile + s) * stride + column;
        total = fma(splat<V>(packed.weights(o)[kernel]), load<V>(row), total);
      }
      return splat<V>(scale * hidden_[kernel * kTile + s]) * total;
    });
    if (shape_.affine) affine_gradients(packed, dy, djacobian, padded);
    Base::features_gradient(dx);
  }

 private:
  using Base::hidden_;
  using Base::layout_;
  using Base::shape_;

  V phi(int kernel, int s) const { return load<V>(hidden_.data() + kernel * kTile + s); }
  V output_slope(int o, int s) const {
    return shape_.output == Activation::none ? splat<V>(S(1))
                                             : load<V>(this->output_slope_.data() + o * kTile + s);
  }

  // dy, djacobian -> d loss / d z, d loss / d K
  void before_activation(const S* y, S* dy, S* djacobian) const {
    if (shape_.output == Activation::none) return;
    for (int o = 0; o < shape_.outputs; ++o) {
      for (int s = 0; s < kTile; s += width) {
        const V slope = output_slope(o, s);
        V total = splat<V>(S(0));
        for (int d = 0; d < shape_.inputs; ++d) {
          const int at = (o * shape_.inputs + d) * kTile + s;
          const V grad = load<V>(djacobian + at);
          total = fma(grad, load<V>(slopes_.data() + at), total);
          store<V>(djacobian + at, grad * slope);
        }
        const int at = o * kTile + s;
        const V bend = curvature(shape_.output, load<V>(y + at), slope);
        store<V>(dy + at, fma(load<V>(dy + at), slope, bend * total));
      }
    }
  }

  // What output o adds to kernel_grad_, and through K to the gradient of its weights. With
  // T_i = c sum_d dK_d beta_id delta_id: dphi_i += W_i (dz - T_i), dW_i -= sum of phi_i T_i.
  void kernels_through_slopes(const Packed& packed, const S* x, int o, const S* dz,
                              const S* dslopes, S* weights_grad) {
    const V scale = splat<V>(S(-2 * shape_.factor));
    for (int i = 0; i < shape_.kernels; ++i) {
      const S *centre = packed.centres(i), *precision = packed.precisions(i);
      const V weight = splat<V>(packed.weights(o)[i]);
      V through = splat<V>(S(0));
      for (int s = 0; s < kTile; s += width) {
        V total = splat<V>(S(0));
        for (int d = 0; d < shape_.inputs; ++d) {
          const V difference = load<V>(x + d * kTile + s) - splat<V>(centre[d]);
          total = fma(load<V>(dslopes + d * kTile + s), splat<V>(precision[d]) * difference, total);
        }
        total = scale * total;
        through = fma(phi(i, s), total, through);
        S* at = this->kernel_grad_.data() + i * kTile + s;
        const V grad = weight * (load<V>(dz + s) + total);
        store<V>(at, fma(scale * phi(i, s), grad, load<V>(at)));
      }
      weights_grad[i] += sum(through);
    }
  }

  // dA += dK (its part by dz is in the linear layer's), and d loss / d F through A.
  void affine_gradients(const Packed& packed, const S* dz, const S* dslopes, S* padded) {
    this->affine_grad_.zero();
    for (int o = 0; o < shape_.outputs; ++o) {
      S* out = padded + layout_.weights() + size_t(o) * layout_.unit_stride + shape_.kernels;
      for (int d = 0; d < shape_.inputs; ++d) {
        const V weight = splat<V>(packed.affine(o)[d]);
        V total = splat<V>(S(0));
        for (int s = 0; s < kTile; s += width) {
          total = total + load<V>(dslopes + (o * shape_.inputs + d) * kTile + s);
          S* at = this->affine_grad_.data() + d * kTile + s;
          store<V>(at, fma(weight, load<V>(dz + o * kTile + s), load<V>(at)));
        }
        out[d] += sum(total);
      }
    }
  }

  Scratch<S> slopes_;      // K
  Scratch<S> weighted_;    // [kernels][kTile]: -c W_oi phi_i of one output
  Scratch<S> transposed_;  // [outputs][kTile][stride]: d loss / d K
};

}  // namespace fields
