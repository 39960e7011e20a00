// Coordinate-aware modulation over rows of features.
//
// h is [samples][features]: normalising works along a row, so features lie across lanes, and the
// knots of a sample are found once for all of them.
#pragma once

#include "cpu/memory.h"
#include "cpu/pack_maths.h"
#include "maths/modulation.h"

namespace fields {

template <class S>
using WideOf = std::conditional_t<std::is_same_v<S, float>, Pack, S>;

// body(lane, first) over [0, count): whole packs, then the rest one by one.
template <class S, class Body>
FIELDS_HD void over_lanes(int count, const Body& body) {
  using V = WideOf<S>;
  int i = 0;
  for (; i + Lane<V>::width <= count; i += Lane<V>::width) body(V{}, i);
  for (; i < count; ++i) body(S{}, i);
}

// A sum over lanes of either kind.
template <class S>
class LaneSum {
 public:
  template <class V>
  FIELDS_HD void add(V value) {
    if constexpr (std::is_same_v<V, WideOf<S>>) {
      wide_ += value;
    } else {
      rest_ += value;
    }
  }
  S total() const { return sum(wide_) + rest_; }

 private:
  WideOf<S> wide_ = splat<WideOf<S>>(S(0));
  S rest_ = 0;
};

// One thread's workspace: gamma and beta of a sample and their gradients, one or one a feature.
template <class S>
class RowModulation {
 public:
  RowModulation(const Modulation& modulation, const S* gamma, const S* beta)
      : m_(modulation), gamma_grid_(gamma), beta_grid_(beta), buffer_(size_t(4) * m_.channels) {}

  // One group of rows: h, out [rows][features], positions [rows][dim].
  void forward(const S* h, const S* positions, int64_t rows, S* out) {
    const Norm norm = normaliser(h, rows);
    for (int64_t r = 0; r < rows; ++r) {
      interpolate(positions + r * m_.grid.dim);
      over_lanes<S>(m_.features, [&](auto lane, int f) {
        using V = decltype(lane);
        const int64_t at = r * m_.features + f;
        const V z = fma(norm.apply(load<V>(h + at)), knot<V>(gamma(), f), knot<V>(beta(), f));
        V slope;
        store<V>(out + at, m_.activate_at(z, slope));
      });
    }
  }

  // grad_gamma, grad_beta (of a whole grid) are added to; grad_positions may be null.
  void backward(const S* grad, const S* h, const S* positions, int64_t rows, S* grad_h,
                S* grad_positions, S* grad_gamma, S* grad_beta) {
    const Norm norm = normaliser(h, rows);
    LaneSum<S> sum_grad, sum_product;  // of d loss / d normalised, and of that times normalised
    for (int64_t r = 0; r < rows; ++r) {
      interpolate(positions + r * m_.grid.dim);
      LaneSum<S> dgamma, dbeta;
      over_lanes<S>(m_.features, [&](auto lane, int f) {
        using V = decltype(lane);
        const int64_t at = r * m_.features + f;
        const V normal = norm.apply(load<V>(h + at));
        const V scale = knot<V>(gamma(), f);
        V slope;
        m_.activate_at(fma(normal, scale, knot<V>(beta(), f)), slope);
        const V dz = load<V>(grad + at) * slope;
        if (m_.channels == 1) {
          dgamma.add(dz * normal);
          dbeta.add(dz);
        } else {
          store<V>(this->dgamma() + f, dz * normal);
          store<V>(this->dbeta() + f, dz);
        }
        const V dnormal = dz * scale;
        sum_grad.add(dnormal);
        sum_product.add(dnormal * normal);
        store<V>(grad_h + at, dnormal);
      });
      if (m_.channels == 1) {
        *this->dgamma() = dgamma.total();
        *this->dbeta() = dbeta.total();
      }
      scatter(grad_gamma, grad_beta);
      if (grad_positions) positions_gradient(grad_positions + r * m_.grid.dim);
    }
    if (!m_.group) return;
    const S count = static_cast<S>(rows * m_.features);
    const S mean_grad = sum_grad.total() / count, mean_product = sum_product.total() / count;
    for (int64_t r = 0; r < rows; ++r) {
      over_lanes<S>(m_.features, [&](auto lane, int f) {
        using V = decltype(lane);
        const int64_t at = r * m_.features + f;
        const V normal = norm.apply(load<V>(h + at));
        const V d = load<V>(grad_h + at) - splat<V>(mean_grad) - normal * splat<V>(mean_product);
        store<V>(grad_h + at, d * splat<V>(norm.scale));
      });
    }
  }

 private:
  struct Norm {
    S mean, scale;
    template <class V>
    FIELDS_HD V apply(V h) const {
      return (h - splat<V>(mean)) * splat<V>(scale);
    }
  };

  // Two passes: the square of the mean would cancel against the mean of the squares.
  Norm normaliser(const S* h, int64_t rows) const {
    if (!m_.group) return {S(0), S(1)};
    const int64_t count = rows * m_.features;
    LaneSum<S> total, squares;
    for (int64_t r = 0; r < rows; ++r) {
      over_lanes<S>(m_.features, [&](auto lane, int f) {
        total.add(load<decltype(lane)>(h + r * m_.features + f));
      });
    }
    const S mean = total.total() / static_cast<S>(count);
    for (int64_t r = 0; r < rows; ++r) {
      over_lanes<S>(m_.features, [&](auto lane, int f) {
        using V = decltype(lane);
        const V d = load<V>(h + r * m_.features + f) - splat<V>(mean);
        squares.add(d * d);
      });
    }
    const S variance = squares.total() / static_cast<S>(count);
    return {mean, S(1) / fields::sqrt(variance + S(kNormEps))};
  }

  template <class V>
  FIELDS_HD V knot(const S* values, int f) const {
    return m_.channels == 1 ? splat<V>(*values) : load<V>(values + f);
  }

  // Finds the sample's cell and reads gamma and beta. NaN becomes 0: knots stay in bounds.
  void interpolate(const S* position) {
    S p[kMaxModulationDims];
    for (int d = 0; d < m_.grid.dim; ++d) p[d] = min(max(position[d], S(0)), S(1));
    cell_ = locate_knots<S>(m_.grid, p);
    over_lanes<S>(m_.channels, [&](auto lane, int f) {
      using V = decltype(lane);
      V g = splat<V>(S(0)), b = g;
      for (int c = 0; c < m_.grid.corners(); ++c) {
        const size_t at = size_t(cell_.knot[c]) * m_.channels + f;
        g = fma(splat<V>(cell_.weight[c]), load<V>(gamma_grid_ + at), g);
        b = fma(splat<V>(cell_.weight[c]), load<V>(beta_grid_ + at), b);
      }
      store<V>(gamma() + f, g);
      store<V>(beta() + f, b);
    });
  }

  void scatter(S* grad_gamma, S* grad_beta) const {
    for (int c = 0; c < m_.grid.corners(); ++c) {
      const size_t at = size_t(cell_.knot[c]) * m_.channels;
      add_scaled(grad_gamma + at, cell_.weight[c], dgamma());
      add_scaled(grad_beta + at, cell_.weight[c], dbeta());
    }
  }

  FIELDS_HD void add_scaled(S* to, S weight, const S* values) const {
    over_lanes<S>(m_.channels, [&](auto lane, int f) {
      using V = decltype(lane);
      store<V>(to + f, fma(splat<V>(weight), load<V>(values + f), load<V>(to + f)));
    });
  }

  void positions_gradient(S* out) const {
    for (int d = 0; d < m_.grid.dim; ++d) out[d] = S(0);
    for (int c = 0; c < m_.grid.corners(); ++c) {
      const size_t at = size_t(cell_.knot[c]) * m_.channels;
      LaneSum<S> dot;
      over_lanes<S>(m_.channels, [&](auto lane, int f) {
        using V = decltype(lane);
        dot.add(fma(load<V>(gamma_grid_ + at + f), load<V>(dgamma() + f),
                    load<V>(beta_grid_ + at + f) * load<V>(dbeta() + f)));
      });
      for (int d = 0; d < m_.grid.dim; ++d) {
        out[d] += knot_slope<S>(m_.grid, cell_, c, d) * dot.total();
      }
    }
  }

  S* gamma() { return buffer_.data(); }
  S* beta() { return buffer_.data() + m_.channels; }
  S* dgamma() { return buffer_.data() + 2 * m_.channels; }
  S* dbeta() { return buffer_.data() + 3 * m_.channels; }
  const S* dgamma() const { return buffer_.data() + 2 * m_.channels; }
  const S* dbeta() const { return buffer_.data() + 3 * m_.channels; }

  Modulation m_;
  const S *gamma_grid_, *beta_grid_;
  Scratch<S> buffer_;
  ModulationCell<S> cell_;
};

}  // namespace fields
