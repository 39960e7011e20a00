// Forward and backward of hash grid + MLP over a batch, shared by the autograd ops and by the fused
// training step.
//
// The backward has two passes. First, tiles side by side: encode, MLP forward, gradient of the
// outputs, MLP backward, leaving d loss / d features in tile form. Then levels side by side: each
// level's rows are summed by one thread, without atomics. Gradients of the MLP are summed per group
// of tiles and groups are added in order, so the result does not depend on the number of threads.
#pragma once

#include "cpu/parallel.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_mlp.h"

namespace fields {

// Samples that one task encodes at a time: 16 tiles x 32 features are 128 KB, within L2.
constexpr int kRun = 16;

// Groups of tiles that sum MLP gradients apart; a function of the batch alone.
inline int64_t num_groups(int64_t tiles) {
  return std::max<int64_t>(1, std::min<int64_t>(tiles / 4, 64));
}

// What the first pass leaves behind.
template <class S>
struct FieldGradients {
  Scratch<S> x;         // [tiles][dim][kTile]
  Scratch<S> features;  // [tiles][outputs][kTile], d loss / d features
  Scratch<S> params;    // [shape.size()]

  FieldGradients(int64_t tiles, int dim, int outputs, int64_t params)
      : x(tiles * dim * kTile), features(tiles * outputs * kTile), params(params) {}
};

// output_gradient(tile, y, group): turns y [channels][kTile] into d loss / d y in place.
template <class Mlp, class S, class OutputGradient>
FieldGradients<S> field_gradients(const GridTable<S>& table, const MlpShape& shape, const S* params,
                                  const S* coords, int64_t samples,
                                  const OutputGradient& output_gradient) {
  const int64_t tiles = num_tiles(samples);
  const int64_t groups = num_groups(tiles);
  const int outputs = table.outputs();
  const typename Mlp::Packed packed(shape, params, true);
  FieldGradients<S> grads(tiles, table.dim, outputs, shape.size());
  const size_t stride = Mlp::gradient_size(shape);
  Scratch<S> partial(groups * stride);
  parallel_tasks(groups, [&](int64_t group, int) {
    const int64_t end = tiles * (group + 1) / groups;
    S* sums = partial.data() + group * stride;
    std::memset(sums, 0, stride * sizeof(S));
    Mlp mlp(shape);
    Scratch<S> y(size_t(shape.outputs) * kTile);
    for (int64_t first = tiles * group / groups; first < end; first += kRun) {
      const int count = static_cast<int>(std::min<int64_t>(kRun, end - first));
      S* x = grads.x.data() + first * table.dim * kTile;
      S* encoded = grads.features.data() + first * outputs * kTile;
      for (int t = 0; t < count; ++t) {
        load_coords_tile(coords, samples, table.dim, first + t, x + t * table.dim * kTile);
      }
      table.encode(x, count, encoded);
      for (int t = 0; t < count; ++t) {
        S* features = encoded + size_t(t) * outputs * kTile;
        mlp.forward(packed, features, y.data());
        output_gradient(first + t, y.data(), group);
        mlp.backward(packed, features, y.data(), sums, features);
      }
    }
  });
  grads.params.zero();
  for (int64_t group = 0; group < groups; ++group) {
    Mlp::add_gradients(shape, partial.data() + group * stride, grads.params.data());
  }
  return grads;
}

}  // namespace fields
