// Many walks at once, from where rays begin to where they first meet a cell that is not empty: most
// rays of a scene meet none, and a walk alone waits at each step for its bits.
#pragma once

#include "cpu/march_tensors.h"
#include "cpu/pack.h"
#include "cpu/ray_spans.h"

namespace fields {

class RayWalks {
 public:
  // The walks of rays [first, first + count), each at its first sample or behind its end:
  // found(number in the run, walk) for those that have a sample, in the order of their numbers.
  // `spans`, where they are known, spare most of the way; rays of a pack should be close together.
  template <class Found>
  void begin(const MarchRule& rule, const Occupancy& occupancy, const RayBatch& batch,
             int64_t first, int count, const RaySpans* spans, const Found& found) {
    begin_all(rule, batch, first, count, spans && spans->is_known() ? spans : nullptr);
    walk_all(rule, occupancy, count);
    for (int r = 0; r < count; ++r) {
      if (rows_[kT][r] < rows_[kFar][r]) found(r, walk_of(r));
    }
  }

  static constexpr int kMost = 256;  // rays of a run

 private:
  // Rows of numbers, one a ray: those of RayWalk.
  enum Row { kOrigin, kDirection = 3, kInverse = 6, kFar = 9, kStart, kIndex, kT, kRows };

  template <class V, class At>
  static RayWalk<V> walk_from(const At& at) {
    RayWalk<V> walk;
    for (int d = 0; d < 3; ++d) {
      walk.ray.origin[d] = at(kOrigin + d);
      walk.ray.direction[d] = at(kDirection + d);
      walk.ray.inverse[d] = at(kInverse + d);
    }
    walk.far = at(kFar), walk.start = at(kStart), walk.index = at(kIndex), walk.t = at(kT);
    return walk;
  }
  RayWalk<float> walk_of(int r) const {
    return walk_from<float>([&](int row) { return rows_[row][r]; });
  }

  void begin_all(const MarchRule& rule, const RayBatch& batch, int64_t first, int count,
                 const RaySpans* spans) {
    for (int r = 0; r < count; r += kWidth) {
      alignas(64) float at[7][kWidth] = {};
      for (int i = 0; i < std::min(kWidth, count - r); ++i) {
        const int64_t ray = first + r + i;
        for (int d = 0; d < 3; ++d) {
          at[d][i] = batch.origins[3 * ray + d];
          at[3 + d][i] = batch.directions[3 * ray + d];
        }
        at[6][i] = batch.offset(ray);
      }
      const auto pack = [&](int row) { return load<Pack>(at[row]); };
      const Pack origin[3] = {pack(0), pack(1), pack(2)};
      const Pack direction[3] = {pack(3), pack(4), pack(5)};
      RayWalk<Pack> walk = begin_walk<Pack>(rule, origin, direction, pack(6));
      if (spans) {
        const RaySpans::Span span = spans->of(origin, direction, std::min(kWidth, count - r));
        walk.far = min(splat<Pack>(span.far), walk.far);
        enter_at(rule, splat<Pack>(span.near), walk);
      }
      for (int d = 0; d < 3; ++d) {
        store(rows_[kOrigin + d] + r, origin[d]);
        store(rows_[kDirection + d] + r, direction[d]);
        store(rows_[kInverse + d] + r, walk.ray.inverse[d]);
      }
      store(rows_[kFar] + r, walk.far);
      store(rows_[kStart] + r, walk.start);
      store(rows_[kIndex] + r, walk.index);
      store(rows_[kT] + r, walk.t);
    }
  }

  // A lane whose ray has arrived takes the next one.
  void walk_all(const MarchRule& rule, const Occupancy& occupancy, int count) {
    alignas(64) float lanes[kRows][kWidth] = {};
    alignas(64) uint32_t cell[4][kWidth];
    alignas(64) float cells[kWidth];
    int ray[kWidth], next = 0, busy = 0;
    const auto take = [&](int lane) {
      ray[lane] = -1;
      for (; next < count; ++next) {
        if (rows_[kT][next] < rows_[kFar][next]) break;
      }
      if (next == count) return;
      for (int row = 0; row < kRows; ++row) lanes[row][lane] = rows_[row][next];
      ray[lane] = next++;
      ++busy;
    };
    const auto arrive = [&](int lane) {
      rows_[kIndex][ray[lane]] = lanes[kIndex][lane];
      rows_[kT][ray[lane]] = lanes[kT][lane];
      --busy;
      take(lane);
    };
    for (int lane = 0; lane < kWidth; ++lane) take(lane);
    while (busy) {
      RayWalk<Pack> walk = walk_from<Pack>([&](int row) { return load<Pack>(lanes[row]); });
      const Place<Pack> place = look(rule, occupancy, walk);
      for (int d = 0; d < 3; ++d) store_int(cell[d], place.cell[d]);
      store_int(cell[3], place.cascade);
      uint32_t arrived = 0;
      for (int lane = 0; lane < kWidth; ++lane) {
        const int empty =
            empty_block_log2(occupancy, cell[3][lane], cell[0][lane], cell[1][lane], cell[2][lane]);
        arrived |= uint32_t(empty < 0) << lane;
        cells[lane] = static_cast<float>(1 << (empty < 0 ? 0 : empty));
      }
      // Those that have found a cell stay where they are.
      alignas(64) float index[kWidth], t[kWidth];
      leave(rule, place, load<Pack>(cells), walk);
      store(index, walk.index);
      store(t, walk.t);
      for (int lane = 0; lane < kWidth; ++lane) {
        if (ray[lane] < 0) continue;
        if (arrived >> lane & 1) {
          arrive(lane);
          continue;
        }
        lanes[kIndex][lane] = index[lane];
        lanes[kT][lane] = t[lane];
        if (!(t[lane] < lanes[kFar][lane])) arrive(lane);
      }
    }
  }

  alignas(64) float rows_[kRows][kMost];
};

}  // namespace fields
