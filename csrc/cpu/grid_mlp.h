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

// Groups of tiles that sum MLP gradients apart; a function of the batch alone.
inline int64_t num_groups(int64_t tiles) {
  return std::max<int64_t>(1, std::min<int64_t>(tiles / 4, 64));
}

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

template <class S>
struct FieldGradients {
  Scratch<S> x;            // [tiles][dim][kTile]
  LevelMajor<S> features;  // d loss / d features
  Scratch<S> params;       // [shape.size()]
};

// Tiles that one task encodes.
constexpr int kEncodeRun = 32;

// output_gradient(tile, y): turns y [channels][kTile] into d loss / d y in place.
template <class Mlp, class S, class OutputGradient>
FieldGradients<S> field_gradients(const GridTable<S>& table, const MlpShape& shape, const S* params,
                                  const S* coords, int64_t samples,
                                  const OutputGradient& output_gradient) {
  const int64_t tiles = num_tiles(samples);
  const int64_t groups = num_groups(tiles);
  const int dim = table.dim, levels = table.grid.num_levels;
  FieldGradients<S> grads{Scratch<S>(tiles * dim * kTile),
                          LevelMajor<S>(levels, tiles, table.features), Scratch<S>(shape.size())};
  parallel_tasks(groups, [&](int64_t group, int) {
    for (int64_t t = tiles * group / groups; t < tiles * (group + 1) / groups; ++t) {
      load_coords_tile(coords, samples, dim, t, grads.x.data() + t * dim * kTile);
    }
  });
  const int64_t runs = (tiles + kEncodeRun - 1) / kEncodeRun;
  parallel_tasks(levels * runs, [&](int64_t task, int) {
    const int l = static_cast<int>(task / runs);
    const int64_t first = task % runs * kEncodeRun;
    for (int64_t t = first; t < std::min(tiles, first + kEncodeRun); ++t) {
      table.kernels.encode(table.grid.level[l], table.grid.smoothstep, table.level_table(l),
                           grads.x.data() + t * dim * kTile, grads.features.at(l, t));
    }
  });
  const typename Mlp::Packed packed(shape, params, true);
  const size_t stride = Mlp::gradient_size(shape);
  Scratch<S> partial(groups * stride);
  parallel_tasks(groups, [&](int64_t group, int) {
    S* sums = partial.data() + group * stride;
    std::memset(sums, 0, stride * sizeof(S));
    Mlp mlp(shape);
    Scratch<S> y(size_t(shape.outputs) * kTile), features(size_t(table.outputs()) * kTile);
    for (int64_t t = tiles * group / groups; t < tiles * (group + 1) / groups; ++t) {
      grads.features.gather(t, features.data());
      mlp.forward(packed, features.data(), y.data());
      output_gradient(t, y.data());
      mlp.backward(packed, features.data(), y.data(), sums, features.data());
      grads.features.scatter(t, features.data());
    }
  });
  grads.params.zero();
  for (int64_t group = 0; group < groups; ++group) {
    Mlp::add_gradients(shape, partial.data() + group * stride, grads.params.data());
  }
  return grads;
}

}  // namespace fields
