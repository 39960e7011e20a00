// A radiance field that was baked: the logarithm of its density and its colour at the vertices of a
// grid, where it has any, in bytes; drawn faster than the field, and nearly as it is.
//
// A grid of n^3 cells over the unit cube, n a multiple of 16, is cut into blocks of 16^3 cells and
// these into bricks of 4^3. A brick has its own 5^3 vertices, so that neighbours hold the ones they
// share twice, and all that a cell needs lies side by side. Between vertices the logarithm of the
// density is linear, and so is colour. A colour is one of harmonics of the direction, so that those
// of a ray can be added up before they are evaluated; its coefficients are a mean and a sum of the
// directions in which those of the scene differ most, a byte for each: a row of memory is half as
// long as one of coefficients would be, and it is rows that a picture waits for.
#pragma once

#include "composite.h"
#include "march.h"
#include "radiance.h"
#include "spherical_harmonics.h"

namespace fields {

constexpr int kBlockCells = 16, kBrickCells = 4;  // along an axis
constexpr int kBlockBricks = 64;
constexpr int kBrickVertices = 5;  // along an axis
constexpr int kBrickVertexCount = 125;
// Of a brick: densities of its 125 vertices, x fastest; the numbers of their colours' rows, counted
// from the brick's first one; and that one, an int32.
constexpr int kBrickBytes = 256, kRowsAt = kBrickVertexCount, kFirstRowAt = 252;
constexpr uint32_t kNoBrick = 0x80000000u;  // and above, as unsigned numbers
constexpr int kRowBytes = 16;               // of a colour

struct Bricks {
  const int32_t* blocks;    // [along][along][along], x fastest: a page; negative where all is empty
  const int32_t* pages;     // [pages][64], x fastest: bricks of a block; negative where empty
  const uint8_t* vertices;  // [bricks][256], see kBrickBytes
  const uint8_t* colours;   // [rows][kRowBytes]
  const float* densities;   // low and step: the logarithm is low + step * byte
  const float* palette;  // [1 + kRowBytes][3][degree^2]: coefficients of a row of zeros, and what
                         // one more of each of its bytes adds
  int along;             // blocks along an axis
  int degree;

  FIELDS_HD int64_t first_row(uint32_t vertex) const {
    const uint8_t* own = vertices + vertex / kBrickBytes * size_t(kBrickBytes);
    return *reinterpret_cast<const int32_t*>(own + kFirstRowAt);
  }
  FIELDS_HD int harmonics() const { return degree * degree; }
  FIELDS_HD int resolution() const { return kBlockCells * along; }
};

// Corner i of a cell, counted from its lowest: x is bit 0 of i.
FIELDS_HD constexpr int brick_corner(int i) {
  return (i >> 2) * kBrickVertices * kBrickVertices + (i >> 1 & 1) * kBrickVertices + (i & 1);
}

// A place in a cell of a brick.
template <class V>
struct InBrick {
  IntOf<V> vertex;  // the cell's lowest: 256 * brick + its number in it
  V at[3];          // within the cell, in [0, 1]

  // Of corner i.
  FIELDS_HD V share(int i) const {
    const V one = splat<V>(1.0f);
    const V x = i & 1 ? at[0] : one - at[0], y = i >> 1 & 1 ? at[1] : one - at[1];
    return x * y * (i >> 2 ? at[2] : one - at[2]);
  }
};

namespace detail {

template <class V>
FIELDS_HD V between(V a, V b, V share) {
  return fma(share, b - a, a);
}

}  // namespace detail

// The logarithm of the density.
template <class V>
FIELDS_HD V brick_log_density(const Bricks& bricks, const InBrick<V>& place) {
  using I = IntOf<V>;
  constexpr uint32_t kSteps[4] = {0, kBrickVertices, kBrickVertices * kBrickVertices,
                                  kBrickVertices * kBrickVertices + kBrickVertices};
  V row[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    V low, high;
    gather_byte_pair(bricks.vertices, place.vertex + splat_int<I>(kSteps[i]), low, high);
    row[i] = detail::between(low, high, place.at[0]);
  }
  const V front = detail::between(row[0], row[1], place.at[1]);
  const V back = detail::between(row[2], row[3], place.at[1]);
  const V code = detail::between(front, back, place.at[2]);
  return fma(code, splat<V>(bricks.densities[1]), splat<V>(bricks.densities[0]));
}

// Where a walk stands among the bricks.
template <class V>
struct BrickLook {
  using Mask = decltype(splat<V>(0.0f) < splat<V>(0.0f));

  Place<V> place;
  InBrick<V> in;  // where has_brick
  Mask has_page, has_brick;
};

template <class V>
FIELDS_HD BrickLook<V> look(const Bricks& bricks, const MarchRule& rule, const RayWalk<V>& walk) {
  using I = IntOf<V>;
  const auto whole = [](uint32_t value) { return splat_int<I>(value); };
  const V zero = splat<V>(0.0f), one = splat<V>(1.0f);
  const float n = static_cast<float>(bricks.resolution());
  const uint32_t along = static_cast<uint32_t>(bricks.along);
  BrickLook<V> look;
  look.place.side = splat<V>(1.0f / n);
  look.place.low = zero;
  look.place.dt = splat<V>(rule.step);
  I(&cell)[3] = look.place.cell;
  for (int d = 0; d < 3; ++d) {
    const V x = fma(walk.t, walk.ray.direction[d], walk.ray.origin[d]);
    const V scaled = min(max(x, zero), one) * splat<V>(n);
    cell[d] = truncate(min(scaled, splat<V>(n - 1.0f)));
    look.in.at[d] = scaled - to_real<V>(cell[d]);
  }
  const I block = ((cell[2] >> 4) * whole(along) + (cell[1] >> 4)) * whole(along) + (cell[0] >> 4);
  const I page = gather_int(bricks.blocks, block);
  look.has_page = page < whole(kNoBrick);
  I brick = whole(kNoBrick);
  if (any(look.has_page)) {
    const auto part = [&](int d) { return (cell[d] >> 2) & whole(3); };
    const I inner = (part(2) * whole(4) + part(1)) * whole(4) + part(0);
    const I at = select(look.has_page, page * whole(kBlockBricks) + inner, whole(0));
    brick = select(look.has_page, gather_int(bricks.pages, at), brick);
  }
  look.has_brick = brick < whole(kNoBrick);
  const auto low = [&](int d) { return cell[d] & whole(3); };
  const I number = (low(2) * whole(kBrickVertices) + low(1)) * whole(kBrickVertices) + low(0);
  look.in.vertex = select(look.has_brick, brick * whole(kBrickBytes) + number, whole(0));
  return look;
}

// To the next place, or from an empty brick or block to the first one behind it.
template <class V>
FIELDS_HD void go_on(const MarchRule& rule, const BrickLook<V>& look, RayWalk<V>& walk) {
  RayWalk<V> beyond = walk;
  next_place(rule, walk);
  if (all(look.has_brick)) return;
  const V cells = select(look.has_page, splat<V>(kBrickCells), splat<V>(kBlockCells));
  leave(rule, look.place, cells, beyond);
  walk.index = select(look.has_brick, walk.index, beyond.index);
  walk.t = select(look.has_brick, walk.t, beyond.t);
}

// Walks to the end of the ray, or of what it lets pass, and shows each sample of weight, front to
// back, to take(weight, place in its brick, t); of a pack some lanes have a weight of 0. Steps are
// all alike. `transmittance` is 1 at first.
//
// A place is looked up while the one before it is still to be shaded, so that its densities are on
// their way from memory meanwhile.
template <class V, class Take>
FIELDS_HD void march_bricks(const Bricks& bricks, const MarchRule& rule, const MarchLimits& limits,
                            RayWalk<V>& walk, V& transmittance, const Take& take) {
  const V zero = splat<V>(0.0f), one = splat<V>(1.0f);
  BrickLook<V> next = look(bricks, rule, walk);
  while (any(walk.t < walk.far)) {
    const BrickLook<V> now = next;
    const V t = walk.t;
    const auto inside = now.has_brick & (t < walk.far);
    go_on(rule, now, walk);
    next = look(bricks, rule, walk);
    fetch_bytes(bricks.vertices, next.in.vertex, next.has_brick);
    if (!any(inside)) continue;
    const V pass = passed(density_of(brick_log_density(bricks, now.in)), now.place.dt);
    V weight = select(inside, transmittance * (one - pass), zero);
    weight = select(weight < splat<V>(limits.min_weight), zero, weight);
    const auto counts = zero < weight;
    if (!any(counts)) continue;
    take(weight, now.in, t);
    transmittance = select(counts, transmittance * pass, transmittance);
    const auto is_used_up = transmittance < splat<V>(limits.min_transmittance);
    walk.far = select(is_used_up, zero, walk.far);
  }
}

// The palette along a direction whose harmonics are `harmonics`.
FIELDS_HD void palette_along(const Bricks& bricks, const float* harmonics,
                             float (&shown)[1 + kRowBytes][3]) {
  const int count = bricks.harmonics();
  for (int i = 0; i <= kRowBytes; ++i) {
    for (int c = 0; c < 3; ++c) {
      const float* coefficients = bricks.palette + (i * 3 + c) * count;
      shown[i][c] = 0.0f;
      for (int h = 0; h < count; ++h) shown[i][c] = fma(coefficients[h], harmonics[h], shown[i][c]);
    }
  }
}

// What is seen of a place along a direction: RGB.
FIELDS_HD void brick_colour(const Bricks& bricks, const InBrick<float>& place,
                            const float (&shown)[1 + kRowBytes][3], float (&rgb)[3]) {
  const int64_t first = bricks.first_row(place.vertex);
  float sums[kRowBytes] = {};
  for (int i = 0; i < 8; ++i) {
    const int64_t row = first + bricks.vertices[place.vertex + kRowsAt + brick_corner(i)];
    const uint8_t* bytes = bricks.colours + row * kRowBytes;
    const float share = place.share(i);
    for (int k = 0; k < kRowBytes; ++k) sums[k] = fma(share, static_cast<float>(bytes[k]), sums[k]);
  }
  for (int c = 0; c < 3; ++c) {
    rgb[c] = shown[0][c];
    for (int k = 0; k < kRowBytes; ++k) rgb[c] = fma(sums[k], shown[1 + k][c], rgb[c]);
  }
}

}  // namespace fields
