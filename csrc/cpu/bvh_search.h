// Searches through a hierarchy for one point: the nearest triangle, and the winding number. Sixteen
// boxes or triangles are looked at together, by one pack or by a few.
#pragma once

#include "cpu/pack.h"
#include "maths/bvh.h"

namespace fields {

// Row i of sixteen things, from lane `lane` on.
struct Rows {
  const float* data;
  int lane;
  FIELDS_HD Pack operator()(int i) const { return load<Pack>(data + i * kSixteen + lane); }
};

struct PackedPoint {
  FIELDS_HD explicit PackedPoint(const float* p)
      : x(splat<Pack>(p[0])), y(splat<Pack>(p[1])), z(splat<Pack>(p[2])) {}
  Pack x, y, z;
};

FIELDS_HD void search_leaf(const Bvh& bvh, int leaf, const PackedPoint& p, Found& best) {
  const float* rows = bvh.leaves + int64_t(leaf) * kLeafRows * kSixteen;
  for (int lane = 0; lane < kSixteen; lane += kWidth) {
    const Pack distance2 = triangle_distance2(Rows{rows, lane}, p.x, p.y, p.z);
    uint32_t nearer = bits(distance2 < splat<Pack>(best.distance2));
    if (!nearer) continue;
    float all[kWidth];
    store(all, distance2);
    for (; nearer; nearer &= nearer - 1) {
      const int i = __builtin_ctz(nearer);
      if (all[i] < best.distance2) best = {all[i], leaf, lane + i};
    }
  }
}

// From the leaf `start`: the nearer it is, the less is looked at.
inline Found find_nearest(const Bvh& bvh, const float* point, int start) {
  const PackedPoint p(point);
  Found best{INFINITY, start, 0};
  search_leaf(bvh, start, p, best);
  struct Entry {
    float distance2;
    int child;
  };
  Entry stack[kStackSize];
  int size = 0;
  stack[size++] = {0, 0};
  while (size) {
    const Entry entry = stack[--size];
    if (!(entry.distance2 < best.distance2)) continue;
    if (entry.child < 0) {
      search_leaf(bvh, ~entry.child, p, best);
      continue;
    }
    const float* boxes = bvh.boxes + int64_t(entry.child) * kBoxRows * kSixteen;
    const int32_t* children = bvh.children + int64_t(entry.child) * kSixteen;
    const int bottom = size;
    for (int lane = 0; lane < kSixteen; lane += kWidth) {
      const Pack distance2 = box_distance2(Rows{boxes, lane}, p.x, p.y, p.z);
      uint32_t nearer = bits(distance2 < splat<Pack>(best.distance2));
      if (!nearer) continue;
      float all[kWidth];
      store(all, distance2);
      for (; nearer; nearer &= nearer - 1) {
        const int i = __builtin_ctz(nearer);
        const int child = children[lane + i];
        if (child == ~start) continue;
        int place = size++;  // the nearest goes on top
        for (; place > bottom && stack[place - 1].distance2 < all[i]; --place) {
          stack[place] = stack[place - 1];
        }
        stack[place] = {all[i], child};
      }
    }
  }
  return best;
}

// 1 inside a closed mesh whose faces look outwards, 0 outside of it.
inline float find_winding(const Bvh& bvh, const float* point) {
  const PackedPoint p(point);
  int stack[kStackSize];
  int size = 0;
  stack[size++] = 0;
  Pack total = splat<Pack>(0);
  while (size) {
    const int child = stack[--size];
    if (child < 0) {
      const float* rows = bvh.leaves + int64_t(~child) * kLeafRows * kSixteen;
      for (int lane = 0; lane < kSixteen; lane += kWidth) {
        total += triangle_winding(Rows{rows, lane}, p.x, p.y, p.z);
      }
      continue;
    }
    const float* moments = bvh.moments + int64_t(child) * kMomentRows * kSixteen;
    for (int lane = 0; lane < kSixteen; lane += kWidth) {
      PackMask near;
      const Pack far = group_winding(Rows{moments, lane}, p.x, p.y, p.z, near);
      total += select(near, splat<Pack>(0), far);
      for (uint32_t open = bits(near); open; open &= open - 1) {
        stack[size++] = bvh.children[int64_t(child) * kSixteen + lane + __builtin_ctz(open)];
      }
    }
  }
  return sum(total);
}

}  // namespace fields
