// Gradients of an MLP over a batch, shared by the autograd op and by the training step.
//
// Forward, gradient of the outputs and backward, a tile at a time, by all threads; then the sums of
// groups of tiles are added up, always in the same order, a piece of the parameters at a time: the
// result does not depend on the number of threads.
#pragma once

#include <vector>

#include "cpu/parallel.h"
#include "cpu/tile_grid.h"
#include "cpu/tile_mlp.h"

namespace fields {

template <class Mlp>
class MlpGradients {
 public:
  using S = typename Mlp::S;
  using Shape = typename Mlp::Shape;

  MlpGradients(const Shape& shape, const S* params, int64_t samples)
      : tiles(num_tiles(samples)),
        shape_(shape),
        packed_(shape, params, true),
        samples_(samples),
        stride_(Mlp::gradient_size(shape)),
        groups_(groups_of(tiles, stride_)),
        partial_(groups_ * stride_) {
    Mlp::for_runs(shape, [&](int64_t to, int64_t from, int64_t count, S scale) {
      for (int64_t i = 0; i < count; i += kPiece) {
        pieces_.push_back({to + i, from + i, std::min(kPiece, count - i), scale});
      }
    });
  }

  // output_gradient(tile, y): turns y [channels][kTile] into d loss / d y in place. d loss / d x is
  // written to grad_x [samples][inputs] unless that is null.
  template <class OutputGradient>
  void add_to(Phases& phases, const S* x, S* grad_x, const OutputGradient& output_gradient) {
    phases.add(groups_, [this, x, grad_x, &output_gradient](int64_t group, int) {
      S* sums = partial_.data() + group * stride_;
      std::memset(sums, 0, stride_ * sizeof(S));
      Mlp mlp(shape_);
      Scratch<S> tile(size_t(shape_.inputs) * kTile), y(size_t(shape_.outputs) * kTile);
      for (int64_t t = tiles * group / groups_; t < tiles * (group + 1) / groups_; ++t) {
        load_tile(x, samples_, shape_.inputs, t, tile.data());
        mlp.forward(packed_, tile.data(), y.data());
        output_gradient(t, y.data());
        mlp.backward(packed_, tile.data(), y.data(), sums, grad_x ? tile.data() : nullptr);
        if (grad_x) store_tile(tile.data(), samples_, shape_.inputs, t, grad_x);
      }
    });
  }

  // use(first, gradient, count): gets d loss / d params, each number once.
  template <class Use>
  void add_sums_to(Phases& phases, const Use& use) {
    const int64_t count = static_cast<int64_t>(pieces_.size());
    const int64_t tasks = (shape_.size() + kPiece - 1) / kPiece;
    phases.add(tasks, [this, count, tasks, &use](int64_t task, int) {
      alignas(64) S total[kPiece];
      for (int64_t i = count * task / tasks; i < count * (task + 1) / tasks; ++i) {
        const Piece& piece = pieces_[i];
        const S* sums = partial_.data() + piece.from;
        for (int64_t j = 0; j < piece.count; ++j) total[j] = sums[j];
        for (int64_t group = 1; group < groups_; ++group) {
          sums += stride_;
          for (int64_t j = 0; j < piece.count; ++j) total[j] += sums[j];
        }
        for (int64_t j = 0; j < piece.count; ++j) total[j] *= piece.scale;
        use(piece.to, total, piece.count);
      }
    });
  }

  int64_t tiles;

 private:
  static constexpr int64_t kPiece = 2048;

  // Numbers of the gradient that lie side by side, in the flat vector and in the padded sums.
  struct Piece {
    int64_t to, from, count;
    S scale;
  };

  // A function of the batch and the shape alone. Where sums outgrow the cache, clearing them and
  // adding them up costs as much as a third of a tile: then at least eight tiles share them.
  static int64_t groups_of(int64_t tiles, size_t numbers) {
    const bool large = numbers > (1 << 15);
    return large ? std::max<int64_t>(1, std::min<int64_t>(tiles / 8, 64)) : num_groups(tiles);
  }

  Shape shape_;
  typename Mlp::Packed packed_;
  int64_t samples_;
  size_t stride_;
  int64_t groups_;
  Scratch<S> partial_;
  std::vector<Piece> pieces_;
};

}  // namespace fields
