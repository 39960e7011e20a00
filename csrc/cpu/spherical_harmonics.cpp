// Spherical harmonics of directions, a tile at a time.
#include "maths/spherical_harmonics.h"

#include <torch/csrc/stable/library.h>

#include "cpu/pack.h"
#include "cpu/parallel.h"
#include "cpu/tensors.h"
#include "cpu/tile_grid.h"

namespace fields {
namespace {

constexpr int kMost = kMostHarmonicDegree * kMostHarmonicDegree;
constexpr int64_t kRun = 16;  // tiles of a task

int64_t checked_directions(const Tensor& directions, int64_t degree) {
  STD_TORCH_CHECK(directions.dim() == 2 && directions.size(1) == 3, "directions must be [N, 3]");
  STD_TORCH_CHECK(degree >= 1 && degree <= kMostHarmonicDegree, "degree out of range");
  return directions.size(0);
}

template <class Body>
void for_tiles(int64_t samples, const Body& body) {
  const int64_t tiles = num_tiles(samples);
  parallel_tasks((tiles + kRun - 1) / kRun, [&](int64_t task, int) {
    for (int64_t t = task * kRun; t < std::min(tiles, (task + 1) * kRun); ++t) body(t);
  });
}

template <class V>
void forward(const Tensor& directions, int degree, const Tensor& out) {
  using S = ScalarOf<V>;
  const int64_t samples = directions.size(0);
  const S* from = read<S>(directions);
  S* to = write<S>(out);
  for_tiles(samples, [&](int64_t tile) {
    alignas(64) S along[3 * kTile], values[kMost * kTile];
    load_tile(from, samples, 3, tile, along);
    for (int s = 0; s < kTile; s += Lane<V>::width) {
      const V d[3] = {load<V>(along + s), load<V>(along + kTile + s),
                      load<V>(along + 2 * kTile + s)};
      spherical_harmonics(degree, d, [&](int i, V y) { store<V>(values + i * kTile + s, y); });
    }
    store_tile(values, samples, degree * degree, tile, to);
  });
}

template <class V>
void backward(const Tensor& grad, const Tensor& directions, int degree, const Tensor& out) {
  using S = ScalarOf<V>;
  const int64_t samples = directions.size(0);
  const S *from = read<S>(directions), *grads = read<S>(grad);
  S* to = write<S>(out);
  for_tiles(samples, [&](int64_t tile) {
    alignas(64) S along[3 * kTile], g[kMost * kTile];
    load_tile(from, samples, 3, tile, along);
    load_tile(grads, samples, degree * degree, tile, g);
    for (int s = 0; s < kTile; s += Lane<V>::width) {
      const V d[3] = {load<V>(along + s), load<V>(along + kTile + s),
                      load<V>(along + 2 * kTile + s)};
      V sum[3] = {splat<V>(S(0)), splat<V>(S(0)), splat<V>(S(0))};
      const auto gradient = [&](int i) { return load<V>(g + i * kTile + s); };
      spherical_harmonics_backward(degree, d, gradient, sum);
      for (int i = 0; i < 3; ++i) store<V>(along + i * kTile + s, sum[i]);
    }
    store_tile(along, samples, 3, tile, to);
  });
}

Tensor harmonics_op(Tensor directions, int64_t degree) {
  Tensor out = empty_of(directions, {checked_directions(directions, degree), degree * degree});
  is_double(directions) ? forward<double>(directions, static_cast<int>(degree), out)
                        : forward<Pack>(directions, static_cast<int>(degree), out);
  return out;
}

Tensor harmonics_backward_op(Tensor grad, Tensor directions, int64_t degree) {
  Tensor out = empty_of(directions, {checked_directions(directions, degree), 3});
  STD_TORCH_CHECK(grad.numel() == directions.size(0) * degree * degree, "grad must be [N, n]");
  is_double(directions) ? backward<double>(grad, directions, static_cast<int>(degree), out)
                        : backward<Pack>(grad, directions, static_cast<int>(degree), out);
  return out;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("spherical_harmonics", TORCH_BOX(&fields::harmonics_op));
  m.impl("spherical_harmonics_backward", TORCH_BOX(&fields::harmonics_backward_op));
}
