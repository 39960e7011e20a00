// Makes the hierarchy of a mesh: faces are grouped (bvh_split.h), the binary tree of groups becomes
// one of nodes with 16 children, and everything that a search reads is laid out.
#include <torch/csrc/stable/library.h>

#include <algorithm>

#include "cpu/bvh_normals.h"
#include "cpu/bvh_search.h"
#include "cpu/bvh_split.h"
#include "cpu/bvh_tensors.h"
#include "cpu/bvh_widen.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int64_t kChunk = 1024;

template <class Body>
void for_each(int64_t count, const Body& body) {
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min(count, (task + 1) * kChunk); ++i) body(i);
  });
}

// Sums over a group of triangles, of areas a, centroids c and unit normals n.
struct Moments {
  double area = 0, centre[3] = {}, dipole[3] = {}, product[3][3] = {};  // a, ac, an, a c n

  void add(const float* corners) {
    double ab[3], ac[3], twice[3], middle[3];
    for (int d = 0; d < 3; ++d) {
      ab[d] = double(corners[3 + d]) - corners[d];
      ac[d] = double(corners[6 + d]) - corners[d];
      middle[d] = corners[d] + (ab[d] + ac[d]) / 3;
    }
    cross3(ab, ac, twice);
    const double size = ::sqrt(dot3(twice, twice)) / 2;
    area += size;
    for (int d = 0; d < 3; ++d) {
      centre[d] += size * middle[d];
      dipole[d] += twice[d] / 2;
      for (int e = 0; e < 3; ++e) product[d][e] += middle[d] * twice[e] / 2;
    }
  }
  void add(const Moments& other) {
    area += other.area;
    for (int d = 0; d < 3; ++d) {
      centre[d] += other.centre[d];
      dipole[d] += other.dipole[d];
      for (int e = 0; e < 3; ++e) product[d][e] += other.product[d][e];
    }
  }

  // Fills rows[i * 16]; the group lies in the box.
  void write(const FaceBox& box, float* rows) const {
    double c[3], radius2 = 0;
    for (int d = 0; d < 3; ++d) {
      c[d] = area > 0 ? centre[d] / area : (double(box.low[d]) + box.high[d]) / 2;
      const double reach = std::max(c[d] - box.low[d], box.high[d] - c[d]);
      radius2 += reach * reach;
    }
    const auto at = [&](int d, int e) { return product[d][e] - c[d] * dipole[e]; };
    const auto both = [&](int d, int e) { return (at(d, e) + at(e, d)) / 2; };
    // Not quite 0 for a point: the series does not hold there either.
    const double near2 = kNearRadii * kNearRadii * radius2 + 1e-12;
    const double all[kMomentRows] = {c[0],       c[1],       c[2],      near2,    dipole[0],
                                     dipole[1],  dipole[2],  at(0, 0),  at(1, 1), at(2, 2),
                                     both(0, 1), both(0, 2), both(1, 2)};
    for (int i = 0; i < kMomentRows; ++i) rows[i * kSixteen] = static_cast<float>(all[i]);
  }
};

// What fills up a leaf: a triangle without area, further away than any point that is asked for.
constexpr float kFar = 3e12f;
constexpr float kFarPoint[9] = {kFar, kFar, kFar, kFar, kFar, kFar, kFar, kFar, kFar};

void fill_leaf(const float* corners, int64_t faces, float* rows) {
  float area = 0;
  for (int64_t lane = 0; lane < kSixteen; ++lane) {
    const float* face = corners + 9 * lane;
    const bool is_there = lane < faces;
    frame_of_triangle(is_there ? face : kFarPoint,
                      [&](int row) -> float& { return rows[row * kSixteen + lane]; });
    area += is_there ? rows[kB * kSixteen + lane] * rows[kCy * kSixteen + lane] / 2 : 0.0f;
    rows[kAreaRow * kSixteen + lane] = area;
  }
}

void fill_node(const WideNode& node, const std::vector<SplitNode>& splits, float* boxes,
               int32_t* children) {
  for (int lane = 0; lane < kSixteen; ++lane) {
    const bool is_there = lane < node.count;
    children[lane] = is_there ? node.children[lane] : 0;
    for (int d = 0; d < 3; ++d) {
      const FaceBox* box = is_there ? &splits[node.splits[lane]].box : nullptr;
      boxes[d * kSixteen + lane] = box ? box->low[d] : INFINITY;
      boxes[(3 + d) * kSixteen + lane] = box ? box->high[d] : INFINITY;
    }
  }
}

void fill_moments(const WideTree& tree, const std::vector<SplitNode>& splits, const float* corners,
                  const int32_t* first, float* rows) {
  std::vector<Moments> of_leaves(tree.first.size()), of_nodes(tree.nodes.size());
  for_each(static_cast<int64_t>(tree.first.size()), [&](int64_t leaf) {
    for (int64_t f = first[leaf]; f < first[leaf + 1]; ++f) of_leaves[leaf].add(corners + 9 * f);
  });
  for (int64_t n = static_cast<int64_t>(tree.nodes.size()) - 1; n >= 0; --n) {
    const WideNode& node = tree.nodes[n];
    float* to = rows + n * kMomentRows * kSixteen;
    for (int lane = 0; lane < node.count; ++lane) {
      const int32_t child = node.children[lane];
      const Moments& moments = child < 0 ? of_leaves[~child] : of_nodes[child];
      moments.write(splits[node.splits[lane]].box, to + lane);
      of_nodes[n].add(moments);
    }
    for (int lane = node.count; lane < kSixteen; ++lane) {
      for (int i = 0; i < kMomentRows; ++i) to[i * kSixteen + lane] = i < 3 ? 1e6f : 0.0f;
    }
  }
}

// Each cell begins where the one before it ended; blocks of cells are tasks.
void fill_table(const Bvh& bvh, int32_t* table) {
  constexpr int kBlock = 8, kBlocks = kTableSize / kBlock;
  parallel_tasks(kBlocks * kBlocks * kBlocks, [&](int64_t task, int) {
    const int64_t corner[3] = {task % kBlocks * kBlock, task / kBlocks % kBlocks * kBlock,
                               task / kBlocks / kBlocks * kBlock};
    int leaf = 0;
    for (int64_t i = 0; i < kBlock * kBlock * kBlock; ++i) {
      const int64_t row = i / kBlock, x = i % kBlock;
      const int64_t cell[3] = {
          corner[0] + (row % 2 ? kBlock - 1 - x : x),
          corner[1] + (row / kBlock % 2 ? kBlock - 1 - row % kBlock : row % kBlock),
          corner[2] + row / kBlock};
      float middle[3];
      for (int d = 0; d < 3; ++d) middle[d] = (static_cast<float>(cell[d]) + 0.5f) / kTableSize;
      leaf = find_nearest(bvh, middle, leaf).leaf;
      table[(cell[2] * kTableSize + cell[1]) * kTableSize + cell[0]] = leaf;
    }
  });
}

using Hierarchy = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
                             Tensor, Tensor>;

Hierarchy build_bvh(Tensor vertices, Tensor faces) {
  STD_TORCH_CHECK(vertices.dim() == 2 && vertices.size(1) == 3, "vertices must be [V, 3]");
  STD_TORCH_CHECK(faces.dim() == 2 && faces.size(1) == 3, "faces must be [F, 3]");
  const int64_t num_faces = faces.size(0), num_vertices = vertices.size(0);
  STD_TORCH_CHECK(num_faces >= 1 && num_faces < (int64_t(1) << 31) / 3, "faces out of range");
  const float* points = read<float>(vertices);
  const int32_t* list = read_as<int32_t>(faces, ScalarType::Int, 3 * num_faces);
  for (int64_t i = 0; i < 3 * num_faces; ++i) {
    STD_TORCH_CHECK(list[i] >= 0 && list[i] < num_vertices, "a face has no such vertex: ", list[i]);
  }

  std::vector<FaceBox> face_boxes(num_faces);
  for_each(num_faces, [&](int64_t f) {
    for (int i = 0; i < 3; ++i) {
      const float* p = points + 3 * int64_t(list[3 * f + i]);
      const Quad at{p[0], p[1], p[2], 0};
      face_boxes[f].grow({at, at});
    }
  });
  std::vector<int32_t> order;
  const std::vector<SplitNode> splits = split_faces(face_boxes, order);
  const WideTree tree(splits);
  const int64_t num_nodes = static_cast<int64_t>(tree.nodes.size());
  const int64_t num_leaves = static_cast<int64_t>(tree.first.size());

  const auto make = [&](ScalarType type, std::initializer_list<int64_t> sizes) {
    return torch::stable::new_empty(
        vertices, torch::headeronly::IntHeaderOnlyArrayRef(sizes.begin(), sizes.size()), type);
  };
  const auto floats = [](const Tensor& t) { return static_cast<float*>(t.mutable_data_ptr()); };
  const auto ints = [](const Tensor& t) { return static_cast<int32_t*>(t.mutable_data_ptr()); };
  constexpr ScalarType kFloat = ScalarType::Float, kInt = ScalarType::Int;
  Tensor corners = make(kFloat, {num_faces, 3, 3}), ids = make(kInt, {num_faces});
  Tensor normals = make(kFloat, {num_faces, 7, 3});
  Tensor boxes = make(kFloat, {num_nodes, kBoxRows, kSixteen});
  Tensor children = make(kInt, {num_nodes, kSixteen});
  Tensor moments = make(kFloat, {num_nodes, kMomentRows, kSixteen});
  Tensor leaves = make(kFloat, {num_leaves, kLeafRows, kSixteen});
  Tensor first = make(kInt, {num_leaves + 1}), area = make(ScalarType::Double, {num_leaves});
  Tensor table = make(kInt, {kTableSize, kTableSize, kTableSize}), bounds = make(kFloat, {6});

  float* to_corners = floats(corners);
  int32_t* to_ids = ints(ids);
  for_each(num_faces, [&](int64_t row) {
    to_ids[row] = order[row];
    for (int i = 0; i < 3; ++i) {
      std::memcpy(to_corners + 9 * row + 3 * i, points + 3 * int64_t(list[3 * order[row] + i]),
                  3 * sizeof(float));
    }
  });
  find_pseudonormals(points, num_vertices, list, num_faces, order.data(), floats(normals));
  int32_t* to_first = ints(first);
  std::copy(tree.first.begin(), tree.first.end(), to_first);
  to_first[num_leaves] = static_cast<int32_t>(num_faces);
  for_each(num_leaves, [&](int64_t leaf) {
    fill_leaf(to_corners + 9 * int64_t(to_first[leaf]), to_first[leaf + 1] - to_first[leaf],
              floats(leaves) + leaf * kLeafRows * kSixteen);
  });
  for_each(num_nodes, [&](int64_t n) {
    fill_node(tree.nodes[n], splits, floats(boxes) + n * kBoxRows * kSixteen,
              ints(children) + n * kSixteen);
  });
  fill_moments(tree, splits, to_corners, to_first, floats(moments));
  double* to_area = static_cast<double*>(area.mutable_data_ptr());
  for (int64_t leaf = 0; leaf < num_leaves; ++leaf) {
    const float of_leaf = floats(leaves)[(leaf * kLeafRows + kAreaRow) * kSixteen + kSixteen - 1];
    to_area[leaf] = of_leaf + (leaf ? to_area[leaf - 1] : 0.0);
  }
  for (int d = 0; d < 3; ++d) {
    floats(bounds)[d] = splits[0].box.low[d];
    floats(bounds)[3 + d] = splits[0].box.high[d];
  }
  fill_table(checked_bvh(BVH_ARGUMENTS), ints(table));
  return {BVH_ARGUMENTS};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) { m.impl("build_bvh", TORCH_BOX(&fields::build_bvh)); }
