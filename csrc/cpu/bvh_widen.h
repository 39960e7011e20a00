// A binary tree of groups as one of nodes with up to 16 children.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/bvh_split.h"
#include "maths/bvh.h"

namespace fields {

struct WideNode {
  std::array<int64_t, kSixteen> splits;    // nodes of the binary tree
  std::array<int32_t, kSixteen> children;  // nodes of this one, or ~leaf
  int count = 0;
};

// Of all trees that can be had by leaving nodes of the binary one out, the one whose nodes have the
// least area together, and so are visited least (Ylitie et al. 2017, Efficient incoherent ray
// traversal on GPUs through compressed wide BVHs, section 4.1).
class WideTree {
 public:
  explicit WideTree(const std::vector<SplitNode>& splits) : splits_(splits) {
    plan();
    widen(0);
  }

  std::vector<WideNode> nodes;  // parents before children
  std::vector<int32_t> first;   // face of each leaf, in their order

 private:
  // A split that its parent has `share` places for: how many of them its left side gets, or 0 where
  // it is better one child, a node of its own.
  struct Plan {
    std::array<float, kSixteen + 1> area = {};  // of all nodes below, by share
    std::array<uint8_t, kSixteen + 1> left = {};
  };

  void plan() {
    plans_.resize(splits_.size());
    // Children come after their parents.
    for (int64_t i = static_cast<int64_t>(splits_.size()) - 1; i >= 0; --i) {
      if (splits_[i].left < 0) continue;
      const Plan &left = plans_[splits_[i].left], &right = plans_[splits_[i].right];
      Plan& plan = plans_[i];
      for (int share = 2; share <= kSixteen; ++share) {
        plan.area[share] = INFINITY;
        for (int k = 1; k < share; ++k) {
          const float area = left.area[k] + right.area[share - k];
          if (area < plan.area[share]) {
            plan.area[share] = area;
            plan.left[share] = static_cast<uint8_t>(k);
          }
        }
      }
      const float whole = splits_[i].box.area() + plan.area[kSixteen];
      plan.area[1] = whole;
      for (int share = 2; share < kSixteen; ++share) {
        if (plan.area[share] < whole) continue;
        plan.area[share] = whole;
        plan.left[share] = 0;
      }
    }
  }

  void gather(int64_t split, int share, WideNode& node) const {
    const int left = plans_[split].left[share];
    if (left == 0) {
      node.splits[node.count++] = split;
      return;
    }
    gather(splits_[split].left, left, node);
    gather(splits_[split].right, share - left, node);
  }

  int32_t widen(int64_t split) {
    const int32_t at = static_cast<int32_t>(nodes.size());
    nodes.emplace_back();
    WideNode node;
    gather(split, kSixteen, node);
    for (int i = 0; i < node.count; ++i) {
      const SplitNode& child = splits_[node.splits[i]];
      if (child.left < 0) {
        node.children[i] = ~static_cast<int32_t>(first.size());
        first.push_back(static_cast<int32_t>(child.begin));
      } else {
        node.children[i] = widen(node.splits[i]);
      }
    }
    nodes[at] = node;
    return at;
  }

  const std::vector<SplitNode>& splits_;
  std::vector<Plan> plans_;
};

}  // namespace fields
