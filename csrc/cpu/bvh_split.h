// Faces grouped by the surface area heuristic: a binary tree whose leaves hold at most 16 faces.
#pragma once

#include <cstdint>
#include <vector>

namespace fields {

typedef float Quad __attribute__((vector_size(16)));

struct FaceBox {
  Quad low = Quad{} + 3e38f, high = Quad{} - 3e38f;

  void grow(const FaceBox& other) {
    low = low < other.low ? low : other.low;
    high = high > other.high ? high : other.high;
  }
  float area() const {
    const Quad side = high - low;
    return side[0] * side[1] + side[1] * side[2] + side[2] * side[0];
  }
  Quad centre() const { return low + high; }  // twice
};

struct SplitNode {
  FaceBox box;
  int64_t begin, end;             // faces order[begin, end)
  int64_t left = -1, right = -1;  // nodes; none of a leaf
};

// Nodes from the root on; `order` becomes the order in which the leaves hold the faces. By all
// threads, and the same for any number of them.
std::vector<SplitNode> split_faces(const std::vector<FaceBox>& boxes, std::vector<int32_t>& order);

}  // namespace fields
