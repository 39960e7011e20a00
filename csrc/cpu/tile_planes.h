// Planes over one tile of samples: the places with samples across lanes, the texels with channels
// across lanes, since the C channels of a texel lie side by side.
//
// x is [D][kTile] with coordinates in [0, 1]. Features, gradients and jacobians are sample major,
// [samples][outputs] and [samples][outputs][D], as torch has them.
#pragma once

#include "cpu/matrix.h"
#include "maths/triplane.h"

namespace fields {

// Where the samples of a tile lie along one axis.
template <class S>
struct TileAxis {
  using V = std::conditional_t<std::is_same_v<S, float>, Pack, S>;

  void locate(const PlaneGrid& grid, const S* x) {
    for (int s = 0; s < kTile; s += Lane<V>::width) {
      const auto axis = locate_on_axis(grid, load<V>(x + s));
      for (int side = 0; side < 2; ++side) {
        store_int(texel[side] + s, axis.texel[side]);
        store<V>(weight[side] + s, axis.weight[side]);
        store<V>(slope[side] + s, axis.slope[side]);
      }
    }
  }
  FIELDS_HD PlaneAxis<S> operator[](int s) const {
    return {{texel[0][s], texel[1][s]}, {weight[0][s], weight[1][s]}, {slope[0][s], slope[1][s]}};
  }

  alignas(64) uint32_t texel[2][kTile];
  alignas(64) S weight[2][kTile];
  alignas(64) S slope[2][kTile];
};

// Some channels of a texel, a gradient or an output.
template <class S, int B>
struct Channels {
  typedef S Block __attribute__((vector_size(sizeof(S) * B)));
  static FIELDS_HD Block load(const S* from) {
    Block block;
    std::memcpy(&block, from, sizeof(Block));
    return block;
  }
  static FIELDS_HD Block load(const S* from, int stride) {
    Block block;
    for (int c = 0; c < B; ++c) block[c] = from[c * stride];
    return block;
  }
  static FIELDS_HD void store(S* to, Block block) { std::memcpy(to, &block, sizeof(Block)); }
  static FIELDS_HD S sum(Block block) {
    S total = 0;
    for (int c = 0; c < B; ++c) total += block[c];
    return total;
  }
};

// body(B, first) for channels in blocks of at most B that the compiler knows the size of: a
// register wide, then half of it, down to 4 and 1.
template <int B, class Body>
inline void for_channel_blocks(int channels, const Body& body, int c = 0) {
  for (; c + B <= channels; c += B) body(std::integral_constant<int, B>{}, c);
  if constexpr (B > 1) for_channel_blocks<(B > 4 ? B / 2 : 1)>(channels, body, c);
}
template <class S>
constexpr int kBlock = std::is_same_v<S, float> ? kWidth : 1;

template <class S, int D>
class PlaneTile {
 public:
  PlaneTile(const PlaneShape& shape, const S* x, int count) : shape_(shape), count_(count) {
    for (int d = 0; d < D; ++d) axes_[d].locate(shape.grid, x + d * kTile);
  }

  template <bool WithGrad>
  void encode(const S* planes, S* features, S* jacobian) const {
    const int outputs = shape_.outputs();
    for_channel_blocks<kBlock<S>>(shape_.channels, [&](auto block, int c) {
      using Of = Channels<S, block()>;
      for (int s = 0; s < count_; ++s) {
        typename Of::Block value{}, slope[D]{};
#pragma GCC unroll 6
        for (int p = 0; p < kPlanes; ++p) {
          const AxisPair pair = plane_axes(D, p);
          const auto at = read<Of>(planes + p * shape_.plane_size() + c, pair, s);
          value += at.value;
          if constexpr (WithGrad) {
            slope[pair.a] += at.along_a;
            slope[pair.b] += at.along_b;
          }
          if (shape_.sum && p + 1 < kPlanes) continue;
          const size_t out = size_t(s) * outputs + shape_.first_output(p) + c;
          Of::store(features + out, value);
          value = typename Of::Block{};
          if constexpr (WithGrad) {
            for (int i = 0; i < block(); ++i) {
              for (int d = 0; d < D; ++d) jacobian[(out + i) * D + d] = slope[d][i];
            }
            for (int d = 0; d < D; ++d) slope[d] = typename Of::Block{};
          }
        }
      }
    });
  }

  // grad_planes += J_planes^T grad of the tile's samples, one after the other, by this thread
  // alone.
  void scatter(const S* grad, S* grad_planes) const {
    const int outputs = shape_.outputs();
    for_channel_blocks<kBlock<S>>(shape_.channels, [&](auto block, int c) {
      using Of = Channels<S, block()>;
      for (int s = 0; s < count_; ++s) {
#pragma GCC unroll 6
        for (int p = 0; p < kPlanes; ++p) {
          const AxisPair pair = plane_axes(D, p);
          const PlaneAxis<S> a = axes_[pair.a][s], b = axes_[pair.b][s];
          const auto g = Of::load(grad + size_t(s) * outputs + shape_.first_output(p) + c);
          S* plane = grad_planes + p * shape_.plane_size() + c;
#pragma GCC unroll 2
          for (int j = 0; j < 2; ++j) {
            const auto along_row = b.weight[j] * g;
#pragma GCC unroll 2
            for (int i = 0; i < 2; ++i) {
              S* target = plane + shape_.texel(a.texel[i], b.texel[j]);
              Of::store(target, Of::load(target) + a.weight[i] * along_row);
            }
          }
        }
      }
    });
  }

  // grad_x [samples][D] = J_x^T grad, and what grad_jacobian adds to it.
  template <bool WithGrad>
  void coords(const S* planes, const S* grad, const S* grad_jacobian, S* grad_x) const {
    const int outputs = shape_.outputs();
    for (int i = 0; i < count_ * D; ++i) grad_x[i] = S(0);
    for_channel_blocks<kBlock<S>>(shape_.channels, [&](auto block, int c) {
      using Of = Channels<S, block()>;
      for (int s = 0; s < count_; ++s) {
        typename Of::Block total[D]{};
#pragma GCC unroll 6
        for (int p = 0; p < kPlanes; ++p) {
          const AxisPair pair = plane_axes(D, p);
          const auto at = read<Of>(planes + p * shape_.plane_size() + c, pair, s);
          const size_t out = size_t(s) * outputs + shape_.first_output(p) + c;
          const auto g = Of::load(grad + out);
          total[pair.a] += g * at.along_a;
          total[pair.b] += g * at.along_b;
          if constexpr (WithGrad) {
            const S* slopes = grad_jacobian + out * D;
            total[pair.a] += Of::load(slopes + pair.b, D) * at.along_both;
            total[pair.b] += Of::load(slopes + pair.a, D) * at.along_both;
          }
        }
        for (int d = 0; d < D; ++d) grad_x[s * D + d] += Of::sum(total[d]);
      }
    });
  }

 private:
  static constexpr int kPlanes = num_planes(D);

  // `plane` is at its first channel of the block.
  template <class Of>
  FIELDS_HD PlaneSample<typename Of::Block> read(const S* plane, AxisPair pair, int s) const {
    const PlaneAxis<S> a = axes_[pair.a][s], b = axes_[pair.b][s];
    typename Of::Block texel[2][2];
    for (int j = 0; j < 2; ++j) {
      for (int i = 0; i < 2; ++i) {
        texel[j][i] = Of::load(plane + shape_.texel(a.texel[i], b.texel[j]));
      }
    }
    return interpolate(texel, a, b);
  }

  const PlaneShape& shape_;
  int count_;
  TileAxis<S> axes_[D];
};

// plane_grad += J_planes^T grad of the tile's samples, one plane's rows [first, last) alone.
// x_a and x_b are the coordinates along the plane's axes; gradients begin at the plane's output.
template <class S, bool WithGrad>
inline void scatter_plane(const PlaneShape& shape, AxisPair pair, const S* x, int count,
                          const S* grad, const S* grad_jacobian, uint32_t first, uint32_t last,
                          S* plane_grad) {
  TileAxis<S> column, row;
  column.locate(shape.grid, x + pair.a * kTile);
  row.locate(shape.grid, x + pair.b * kTile);
  const int outputs = shape.outputs(), D = shape.dim;
  for (int s = 0; s < count; ++s) {
    const PlaneAxis<S> a = column[s], b = row[s];
    for (int j = 0; j < 2; ++j) {
      if (b.texel[j] < first || b.texel[j] >= last) continue;
      for_channel_blocks<kBlock<S>>(shape.channels, [&](auto block, int c) {
        using Of = Channels<S, block()>;
        const size_t out = size_t(s) * outputs + c;
        const auto g = Of::load(grad + out);
        auto along_row = b.weight[j] * g, along_column = along_row;
        if constexpr (WithGrad) {
          along_column = b.weight[j] * Of::load(grad_jacobian + out * D + pair.a, D);
          along_row += b.slope[j] * Of::load(grad_jacobian + out * D + pair.b, D);
        }
        for (int i = 0; i < 2; ++i) {
          S* target = plane_grad + shape.texel(a.texel[i], b.texel[j]) + c;
          auto sum = Of::load(target) + a.weight[i] * along_row;
          if constexpr (WithGrad) sum += a.slope[i] * along_column;
          Of::store(target, sum);
        }
      });
    }
  }
}

}  // namespace fields
