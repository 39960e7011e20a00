// A network with coordinate-aware modulation over one tile of samples, from coordinates to values.
//
// TileMlp with two more things: the inputs are made of the coordinates in the tile, and behind each
// hidden product z = gamma norm(u) + beta stands before the activation, u = omega W x + b. Features
// of a sample lie in one lane, so that norm needs no sum across lanes; the knots around a sample
// are found once a tile. One gamma and one beta a sample, for all features of a layer.
//
// Gradients of the tables lie behind those of the parameters, in the flat vector as in the padded
// sums.
#pragma once

#include "cpu/tile_mlp.h"
#include "maths/fourier.h"
#include "maths/modulation.h"

namespace fields {

template <class S>
struct CamShape {
  int inputs;  // coordinates of a sample
  int outputs;
  MlpShape mlp;
  ModulationGrid grid;
  int axes[kMaxModulationDims];  // the coordinates that the grids span
  bool normalise;
  int num_frequencies;   // 0: the network takes 2 x - 1
  const S* frequencies;  // [num_frequencies][inputs], cycles across the unit cube
  const S* table;        // [depth][gamma, beta][knots]

  int64_t table_size() const { return 2 * mlp.depth * grid.knots(); }
  int64_t size() const { return mlp.size() + table_size(); }
  // The first layer of a network of sines is not: the size of its argument is the frequency.
  bool normalised(int layer) const {
    return normalise && (layer > 0 || mlp.hidden == Activation::relu);
  }
};

template <class V>
class TileCam : private TileMlp<V> {
 public:
  using S = ScalarOf<V>;
  using Shape = CamShape<S>;
  struct Packed : PackedMlp<V> {
    Packed(const Shape& shape, const S* params, bool with_backward)
        : PackedMlp<V>(shape.mlp, params, with_backward) {}
  };

  explicit TileCam(const Shape& shape)
      : Base(shape.mlp),
        cam_(shape),
        input_(size_t(shape.mlp.inputs) * kTile),
        normal_(size_t(shape.mlp.depth) * shape.mlp.width * kTile),
        per_sample_(size_t(shape.mlp.depth) * 3 * kTile) {}

  static size_t gradient_size(const Shape& shape) {
    return Base::gradient_size(shape.mlp) + shape.table_size();
  }

  // As TileMlp's, and one run for the tables.
  template <class Body>
  static void for_runs(const Shape& shape, const Body& body) {
    Base::for_runs(shape.mlp, body);
    body(shape.mlp.size(), int64_t(Base::gradient_size(shape.mlp)), shape.table_size(), S(1));
  }

  // x [coordinates][kTile] -> y [outputs][kTile]
  void forward(const Packed& packed, const S* x, S* y) {
    locate_all(x);
    encode(x);
    for (int l = 0; l < depth(); ++l) {
      S* out = hidden(l);
      layer_product(packed, l, layer_input(l), [&](int at, V u) { store<V>(out + at, u); });
      modulate(l);
    }
    Base::output_layer(packed, layer_input(depth()), y);
  }

  // After forward of the same x, as TileMlp's.
  void backward(const Packed& packed, const S* x, S* dy, S* padded, S* dx) {
    V dp[kMaxModulationDims][kPacks];
    for (auto& axis : dp) std::fill(axis, axis + kPacks, splat<V>(S(0)));
    Base::output_gradient(dy);
    const S* grad = dy;
    S* tables = padded + Base::gradient_size(cam_.mlp);
    S* layer_grad = tables;
    for (int l = depth(); l >= 0; --l) {
      layer_grad -= Base::padded_layer_size(cam_.mlp, l);
      Base::weight_gradient(l, grad, layer_input(l), layer_grad);
      if (l == 0) break;
      S* below = Base::gradient_below(l);
      Base::hidden_gradient(packed, l, grad, below);
      modulation_gradient(l - 1, below, tables + layer_tables(l - 1), dx ? dp : nullptr);
      grad = below;
    }
    if (dx) coords_gradient(packed, grad, dp, dx);
  }

 private:
  using Base = TileMlp<V>;
  using Base::hidden;
  using Base::layer_product;
  static constexpr int width = Lane<V>::width;
  static constexpr int kPacks = kTile / width;

  int depth() const { return cam_.mlp.depth; }
  const S* layer_input(int l) { return l == 0 ? input_.data() : hidden(l - 1); }
  size_t layer_tables(int l) const { return size_t(l) * 2 * cam_.grid.knots(); }
  S* normal(int l) { return normal_.data() + size_t(l) * cam_.mlp.width * kTile; }
  // gamma, beta and 1 / deviation of each sample
  S* per_sample(int l, int which) { return per_sample_.data() + (size_t(l) * 3 + which) * kTile; }

  void locate_all(const S* x) {
    for (int i = 0; i < kPacks; ++i) {
      V p[kMaxModulationDims];
      for (int d = 0; d < cam_.grid.dim; ++d) {
        // NaN becomes 0: knots stay in bounds
        const V place = load<V>(x + cam_.axes[d] * kTile + i * width);
        p[d] = min(max(place, splat<V>(S(0))), splat<V>(S(1)));
      }
      cells_[i] = locate_knots<V>(cam_.grid, p);
    }
  }

  void encode(const S* x) {
    S* in = input_.data();
    const int count = cam_.num_frequencies, dim = cam_.inputs;
    for (int s = 0; s < kTile; s += width) {
      for (int d = 0; !count && d < dim; ++d) {
        const V coordinate = load<V>(x + d * kTile + s);
        store<V>(in + d * kTile + s, coordinate + coordinate - splat<V>(S(1)));
      }
      for (int m = 0; m < count; ++m) {
        V turns = splat<V>(S(0)), cosine, sine;
        for (int d = 0; d < dim; ++d) {
          turns = fma(splat<V>(cam_.frequencies[m * dim + d]), load<V>(x + d * kTile + s), turns);
        }
        fourier_pair(turns, cosine, sine);
        store<V>(in + m * kTile + s, cosine);
        store<V>(in + (count + m) * kTile + s, sine);
      }
    }
  }

  V interpolate(const S* grid, const ModulationCell<V>& cell) const {
    V value = splat<V>(S(0));
    for (int c = 0; c < cam_.grid.corners(); ++c) {
      V knot[1];
      gather_rows<1>(grid, cell.knot[c], knot);
      value = fma(cell.weight[c], knot[0], value);
    }
    return value;
  }

  // Sums of term(row) -> V over all features; four at a time, so that additions do not wait.
  template <class Term>
  V sum_features(const Term& term) const {
    V sum[4];
    for (V& part : sum) part = splat<V>(S(0));
    int r = 0;
    for (; r + 4 <= cam_.mlp.width; r += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sum[i] = sum[i] + term(r + i);
    }
    for (; r < cam_.mlp.width; ++r) sum[0] = sum[0] + term(r);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }

  // hidden(l) holds u and receives the activation; keeps what the backward needs.
  void modulate(int l) {
    const S* grids = cam_.table + layer_tables(l);
    const V count = splat<V>(S(cam_.mlp.width));
    const S omega = S(cam_.mlp.layer_omega(l));
    for (int i = 0; i < kPacks; ++i) {
      const int s = i * width;
      const V gamma = interpolate(grids, cells_[i]);
      const V beta = interpolate(grids + cam_.grid.knots(), cells_[i]);
      S* out = hidden(l) + s;
      V mean = splat<V>(S(0)), scale = splat<V>(S(1));
      if (cam_.normalised(l)) {
        mean = sum_features([&](int r) { return load<V>(out + r * kTile); }) / count;
        const V squares = sum_features([&](int r) {
          const V d = load<V>(out + r * kTile) - mean;
          return d * d;
        });
        scale = splat<V>(S(1)) / fields::sqrt(squares / count + splat<V>(S(kNormEps)));
      }
      store<V>(per_sample(l, 0) + s, gamma);
      store<V>(per_sample(l, 1) + s, beta);
      store<V>(per_sample(l, 2) + s, scale);
      S* normals = normal(l) + s;
      if (cam_.mlp.hidden == Activation::relu) {
        for (int r = 0; r < cam_.mlp.width; ++r) {
          const V value = (load<V>(out + r * kTile) - mean) * scale;
          store<V>(normals + r * kTile, value);
          store<V>(out + r * kTile, max(splat<V>(S(0)), fma(value, gamma, beta)));
        }
      } else {
        S* slopes = Base::slope(l) + s;
        for (int r = 0; r < cam_.mlp.width; ++r) {
          const V value = (load<V>(out + r * kTile) - mean) * scale;
          store<V>(normals + r * kTile, value);
          V slope;
          const V z = fma(value, gamma, beta);
          store<V>(out + r * kTile, activate(cam_.mlp.hidden, z, slope, omega));
          store<V>(slopes + r * kTile, slope);
        }
      }
    }
  }

  // grad [width][kTile] holds d loss / d z and receives d loss / d u; sums into the layer's tables.
  void modulation_gradient(int l, S* grad, S* tables, V (*dp)[kPacks]) {
    const V inverse_count = splat<V>(S(1) / S(cam_.mlp.width));
    for (int i = 0; i < kPacks; ++i) {
      const int s = i * width;
      const S* normals = normal(l) + s;
      S* dz = grad + s;
      const V dbeta = sum_features([&](int r) { return load<V>(dz + r * kTile); });
      const V dgamma = sum_features(
          [&](int r) { return load<V>(dz + r * kTile) * load<V>(normals + r * kTile); });
      const V scale = load<V>(per_sample(l, 0) + s) * load<V>(per_sample(l, 2) + s);
      V mean = splat<V>(S(0)), along = mean;
      if (cam_.normalised(l)) {
        mean = dbeta * inverse_count;
        along = dgamma * inverse_count;
      }
      for (int r = 0; r < cam_.mlp.width; ++r) {
        const V d = load<V>(dz + r * kTile) - mean - load<V>(normals + r * kTile) * along;
        store<V>(dz + r * kTile, d * scale);
      }
      scatter(cells_[i], dgamma, dbeta, tables);
      if (dp) positions_gradient(l, i, dgamma, dbeta, dp);
    }
  }

  void scatter(const ModulationCell<V>& cell, V dgamma, V dbeta, S* tables) const {
    constexpr int most = 1 << kMaxModulationDims;
    alignas(64) uint32_t knots[most][width];
    alignas(64) S gammas[most][width], betas[most][width];
    const int corners = cam_.grid.corners();
    for (int c = 0; c < corners; ++c) {
      store_int(knots[c], cell.knot[c]);
      store<V>(gammas[c], cell.weight[c] * dgamma);
      store<V>(betas[c], cell.weight[c] * dbeta);
    }
    S* beta_table = tables + cam_.grid.knots();
    for (int i = 0; i < width; ++i) {
      for (int c = 0; c < corners; ++c) {  // different knots, so additions do not wait
        tables[knots[c][i]] += gammas[c][i];
        beta_table[knots[c][i]] += betas[c][i];
      }
    }
  }

  void positions_gradient(int l, int i, V dgamma, V dbeta, V (*dp)[kPacks]) const {
    const S* grids = cam_.table + layer_tables(l);
    for (int c = 0; c < cam_.grid.corners(); ++c) {
      V gamma[1], beta[1];
      gather_rows<1>(grids, cells_[i].knot[c], gamma);
      gather_rows<1>(grids + cam_.grid.knots(), cells_[i].knot[c], beta);
      const V along = fma(gamma[0], dgamma, beta[0] * dbeta);
      for (int d = 0; d < cam_.grid.dim; ++d) {
        dp[d][i] = fma(knot_slope<V>(cam_.grid, cells_[i], c, d), along, dp[d][i]);
      }
    }
  }

  // dx from the gradient of the first layer's u, and of the positions.
  void coords_gradient(const Packed& packed, const S* grad, const V (*dp)[kPacks], S* dx) {
    Scratch<S> below(input_.size());
    S* in = below.data();
    multiply<V, 1, 0>(
        packed.backward(0), grad, kTile, cam_.mlp.inputs, cam_.mlp.layer_outputs(0), TileColumns{},
        [&](int row, int column, V value) { store<V>(in + row * kTile + column, value); });
    const int count = cam_.num_frequencies, dim = cam_.inputs;
    const V turn = splat<V>(S(6.283185307179586));
    for (int d = 0; d < dim; ++d) {
      for (int i = 0; i < kPacks; ++i) {
        const int s = i * width;
        V sum = splat<V>(S(0));
        if (!count) sum = load<V>(in + d * kTile + s) * splat<V>(S(2));
        for (int m = 0; m < count; ++m) {
          const int cosine = m * kTile + s, sine = (count + m) * kTile + s;
          const V by_turns = load<V>(in + sine) * load<V>(input_.data() + cosine) -
                             load<V>(in + cosine) * load<V>(input_.data() + sine);
          sum = fma(by_turns * turn, splat<V>(cam_.frequencies[m * dim + d]), sum);
        }
        for (int k = 0; k < cam_.grid.dim; ++k) {
          if (cam_.axes[k] == d) sum = sum + dp[k][i];
        }
        store<V>(dx + d * kTile + s, sum);
      }
    }
  }

  Shape cam_;
  Scratch<S> input_, normal_, per_sample_;
  ModulationCell<V> cells_[kPacks];
};

}  // namespace fields
