// Gradients of hash grid + MLP over a batch, shared by the autograd op and by the fused training
// step.
//
// Passes over the batch, each by all threads: encode, a level at a time, so that its rows are read
// into cache once; MLP forward, gradient of the outputs, MLP backward, a tile at a time, leaving
// d loss / d features where the features stood; then, in the callers, the sum into the table, again
// a level at a time and each by one thread, without atomics. Gradients of the MLP are summed per
// group of tiles and groups are added in order: the result does not depend on the number of
// threads.
#pragma once

#include "cpu/parallel.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_mlp.h"

namespace fields {

// Features, and later their gradients, of a batch: [levels][tiles][F][kTile], so that a pass over a
// level reads memory in order (16,384 samples x 16 levels x 2: 62 against 120 ns a sample).
template <class S>
class LevelMajor {
 public:
  LevelMajor(int levels, int64_t tiles, int features)
      : data_(size_t(levels) * tiles * features * kTile),
        levels_(levels),
        tiles_(tiles),
        size_(size_t(features) * kTile) {}
  S* at(int level, int64_t tile) { return data_.data() + (level * tiles_ + tile) * size_; }
  const S* at(int level, int64_t tile) const {
    return data_.data() + (level * tiles_ + tile) * size_;
  }
  void gather(int64_t tile, S* out) const {
    for (int l = 0; l < levels_; ++l) std::memcpy(out + l * size_, at(l, tile), size_ * sizeof(S));
  }
  void scatter(int64_t tile, const S* in) {
    for (int l = 0; l < levels_; ++l) std::memcpy(at(l, tile), in + l * size_, size_ * sizeof(S));
  }

 private:
  Scratch<S> data_;
  int levels_;
  int64_t tiles_;
  size_t size_;
};

// Tiles that one task encodes.
constexpr int kEncodeRun = 32;

// The gradients of one batch. `add_to` appends the passes that compute them; what is behind them
// may read x, features and, through `sum_params`, the gradient of the MLP. `Mlp` is TileMlp, or any
// other decoder with its interface.
template <class Mlp>
class FieldGradients {
 public:
  using S = typename Mlp::S;
  using Shape = typename Mlp::Shape;

  FieldGradients(const GridTable<S>& table, const Shape& shape, const S* params, int64_t samples)
      : tiles(num_tiles(samples)),
        x(tiles * table.dim * kTile),
        features(table.grid.num_levels, tiles, table.features),
        table_(table),
        shape_(shape),
        packed_(shape, params, true),
        samples_(samples),
        groups_(num_groups(tiles)),
        stride_(Mlp::gradient_size(shape)),
        partial_(groups_ * stride_) {}

  // output_gradient(tile, y): turns y [channels][kTile] into d loss / d y in place.
  template <class OutputGradient>
  void add_to(Phases& phases, const S* coords, const OutputGradient& output_gradient) {
    const int dim = table_.dim;
    phases.add(groups_, [this, coords, dim](int64_t group, int) {
      for (int64_t t = begin_of(group); t < begin_of(group + 1); ++t) {
        load_coords_tile(coords, samples_, dim, t, x.data() + t * dim * kTile);
      }
    });
    const int64_t runs = (tiles + kEncodeRun - 1) / kEncodeRun;
    phases.add(table_.grid.num_levels * runs, [this, runs, dim](int64_t task, int) {
      const int l = static_cast<int>(task / runs);
      const int64_t first = task % runs * kEncodeRun;
      for (int64_t t = first; t < std::min(tiles, first + kEncodeRun); ++t) {
        table_.kernels.encode(table_.grid.level[l], table_.grid.smoothstep, table_.level_table(l),
                              x.data() + t * dim * kTile, features.at(l, t));
      }
    });
    phases.add(groups_, [this, &output_gradient](int64_t group, int) {
      S* sums = partial_.data() + group * stride_;
      std::memset(sums, 0, stride_ * sizeof(S));
      Mlp mlp(shape_);
      Scratch<S> y(size_t(shape_.outputs) * kTile), tile(size_t(table_.outputs()) * kTile);
      for (int64_t t = begin_of(group); t < begin_of(group + 1); ++t) {
        features.gather(t, tile.data());
        mlp.forward(packed_, tile.data(), y.data());
        output_gradient(t, y.data());
        mlp.backward(packed_, tile.data(), y.data(), sums, tile.data());
        features.scatter(t, tile.data());
      }
    });
  }

  // params_grad [shape.size()] = d loss / d params, group after group.
  void sum_params(S* params_grad) const {
    std::memset(params_grad, 0, shape_.size() * sizeof(S));
    for (int64_t group = 0; group < groups_; ++group) {
      Mlp::add_gradients(shape_, partial_.data() + group * stride_, params_grad);
    }
  }

  int64_t tiles;
  Scratch<S> x;            // [tiles][dim][kTile]
  LevelMajor<S> features;  // d loss / d features

 private:
  int64_t begin_of(int64_t group) const { return tiles * group / groups_; }

  const GridTable<S>& table_;
  Shape shape_;
  typename Mlp::Packed packed_;
  int64_t samples_, groups_;
  size_t stride_;
  Scratch<S> partial_;
};

}  // namespace fields
