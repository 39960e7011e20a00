// A hierarchy of boxes around the triangles of a mesh: nodes of 16 children, leaves of 16
// triangles. Sixteen are one AVX-512 vector, two or four of others, or half a warp.
//
// Faces lie in the order of the leaves, and leaf i holds faces [first[i], first[i + 1]). Numbers of
// sixteen things lie row by row, [rows][16]. What a node or a leaf lacks of sixteen is filled with
// what is out of reach.
#pragma once

#include "triangle.h"
#include "winding.h"

namespace fields {

constexpr int kSixteen = 16;
constexpr int kBoxRows = 6;           // lowest x, y, z; highest x, y, z
constexpr int kAreaRow = kFrameRows;  // of a leaf: sum of areas of faces up to this one
constexpr int kLeafRows = kFrameRows + 1;
constexpr int kMostDepth = 64;  // of nodes
constexpr int kStackSize = kMostDepth * (kSixteen - 1) + 1;
constexpr int kTableSize = 32;  // cells of the table along an axis of the unit cube

struct Bvh {
  const float* corners;     // [faces][3][3]
  const int32_t* ids;       // [faces], numbers in the list that the hierarchy was made from
  const float* normals;     // [faces][7][3], pseudonormals by Region
  const float* boxes;       // [nodes][kBoxRows][16]
  const int32_t* children;  // [nodes][16]: a node, or ~leaf
  const float* moments;     // [nodes][kMomentRows][16]
  const float* leaves;      // [leaves][kLeafRows][16]
  const int32_t* first;     // [leaves + 1]
  const double* area;       // [leaves], sum of areas up to and with this leaf
  const int32_t* table;     // [32][32][32], z first: the leaf nearest to the middle of a cell
  const float* bounds;      // [6] of all
  int64_t leaf_count;
};

template <class V, class Row>
FIELDS_HD V box_distance2(const Row& row, V px, V py, V pz) {
  const V zero = splat<V>(0);
  const V x = max(max(row(0) - px, px - row(3)), zero);
  const V y = max(max(row(1) - py, py - row(4)), zero);
  const V z = max(max(row(2) - pz, pz - row(5)), zero);
  return fma(x, x, fma(y, y, z * z));
}

// Leaf to begin a search with.
FIELDS_HD int table_leaf(const Bvh& bvh, const float* p) {
  int cell[3];
  for (int d = 0; d < 3; ++d) {
    const float place = p[d] * kTableSize;
    cell[d] = place > 0 ? place < kTableSize ? static_cast<int>(place) : kTableSize - 1 : 0;
  }
  return bvh.table[(cell[2] * kTableSize + cell[1]) * kTableSize + cell[0]];
}

// A triangle found by a search: a lane of a leaf.
struct Found {
  float distance2;
  int leaf;
  int lane;
};

struct Nearest {
  float distance;  // negative inside, if asked
  int face;        // in the order of leaves
  float point[3];
};

// In double. The sign is that of the pseudonormal (Baerentzen and Aanaes 2005); outside the box of
// all it is known, and there far points would see several triangles at one float distance.
FIELDS_HD Nearest nearest_of(const Bvh& bvh, const float* p, int leaf, int lane, bool has_sign) {
  Nearest nearest;
  nearest.face = bvh.first[leaf] + lane;
  const NearestOnTriangle on = nearest_on_triangle(bvh.corners + 9 * int64_t(nearest.face), p);
  nearest.distance = static_cast<float>(::sqrt(on.distance2));
  bool may_be_inside = has_sign;
  for (int d = 0; d < 3; ++d) {
    nearest.point[d] = static_cast<float>(p[d] - on.offset[d]);
    may_be_inside = may_be_inside && p[d] >= bvh.bounds[d] && p[d] <= bvh.bounds[3 + d];
  }
  if (may_be_inside) {
    const float* normal = bvh.normals + 21 * int64_t(nearest.face) + 3 * on.region;
    const double side =
        normal[0] * on.offset[0] + normal[1] * on.offset[1] + normal[2] * on.offset[2];
    if (side < 0) nearest.distance = -nearest.distance;
  }
  return nearest;
}

}  // namespace fields
