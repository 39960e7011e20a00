// Large groups are split between bins of the middles of their faces' boxes (Wald 2007, On fast
// construction of SAH-based bounding volume hierarchies), small ones at the best of all places.
// What counts is full leaves: a leaf of 16 triangles costs a search as much as one of 3.
#include "cpu/bvh_split.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "cpu/parallel.h"
#include "maths/bvh.h"

namespace fields {
namespace {

constexpr int kBins = 32;
constexpr int64_t kSmall = 512;       // faces of a group that is sorted
constexpr int64_t kLeastTask = 4096;  // faces that are worth a task of their own
constexpr float kLeastSpan = 1e-30f;  // of middles along an axis that is binned
constexpr int kMostUneven = 32;       // depth from which on groups are halved, so that it ends

float cost(const FaceBox& box, int64_t faces) {
  return box.area() * static_cast<float>((faces + kSixteen - 1) / kSixteen);
}

// An eighth at least on either side of large groups, or the tree would be deep.
bool is_even(int64_t left, int64_t faces) {
  return faces <= 4 * kSixteen || (8 * left >= faces && 8 * (faces - left) >= faces);
}

class Splitter {
 public:
  Splitter(const std::vector<FaceBox>& boxes, std::vector<int32_t>& order)
      : boxes_(boxes), order_(order) {}

  // All nodes of a group; smaller groups than `least`, and leaves, are left as they are.
  std::vector<SplitNode> split(int64_t begin, int64_t end, int64_t depth, int64_t least) {
    nodes_.clear();
    depths_.clear();
    add(begin, end, depth);
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const int64_t first = nodes_[i].begin, last = nodes_[i].end;
      if (nodes_[i].left >= 0 || last - first <= std::max<int64_t>(kSixteen, least)) continue;
      if (last - first <= kSmall) {
        sort(first, last);
        split_sorted(static_cast<int64_t>(i), first, last);
        continue;
      }
      join(static_cast<int64_t>(i), split_bins(first, last, depths_[i]));
    }
    return nodes_;
  }
  const std::vector<int>& depths() const { return depths_; }

 private:
  int64_t add(int64_t begin, int64_t end, int64_t depth) {
    SplitNode node;
    node.begin = begin;
    node.end = end;
    for (int64_t i = begin; i < end; ++i) node.box.grow(boxes_[order_[i]]);
    nodes_.push_back(node);
    depths_.push_back(static_cast<int>(depth));
    return static_cast<int64_t>(nodes_.size()) - 1;
  }
  void join(int64_t parent, int64_t middle) {
    const int64_t begin = nodes_[parent].begin, end = nodes_[parent].end;
    const int64_t left = add(begin, middle, depths_[parent] + 1);
    const int64_t right = add(middle, end, depths_[parent] + 1);
    nodes_[parent].left = left;
    nodes_[parent].right = right;
  }

  // Rearranges order[begin, end) around the place that it returns.
  int64_t split_bins(int64_t begin, int64_t end, int depth) {
    const int64_t faces = end - begin;
    FaceBox middles;
    for (int64_t i = begin; i < end; ++i) {
      const Quad centre = boxes_[order_[i]].centre();
      middles.grow({centre, centre});
    }
    const Quad span = middles.high - middles.low;
    Quad scale;
    // A span of less than the least would scale to infinity, and 0 times that is no bin.
    for (int d = 0; d < 4; ++d) {
      scale[d] = d < 3 && span[d] > kLeastSpan ? 0.9999f * kBins / span[d] : 0.0f;
    }
    FaceBox bins[3][kBins];
    int64_t counts[3][kBins] = {};
    for (int64_t i = begin; i < end; ++i) {
      const FaceBox& box = boxes_[order_[i]];
      const Quad place = (box.centre() - middles.low) * scale;
      for (int d = 0; d < 3; ++d) {
        const int bin = static_cast<int>(place[d]);
        bins[d][bin].grow(box);
        ++counts[d][bin];
      }
    }
    float best = INFINITY;
    int axis = -1, last_left = 0;
    for (int d = 0; d < 3 && depth < kMostUneven; ++d) {
      float right_cost[kBins];
      FaceBox right;
      int64_t count = 0;
      for (int bin = kBins - 1; bin > 0; --bin) {
        right.grow(bins[d][bin]);
        count += counts[d][bin];
        right_cost[bin] = count ? cost(right, count) : INFINITY;
      }
      FaceBox left;
      count = 0;
      for (int bin = 0; bin < kBins - 1; ++bin) {
        left.grow(bins[d][bin]);
        count += counts[d][bin];
        if (!count || !is_even(count, faces)) continue;
        const float total = cost(left, count) + right_cost[bin + 1];
        if (total < best) {
          best = total;
          axis = d;
          last_left = bin;
        }
      }
    }
    const auto from = order_.begin() + begin, to = order_.begin() + end;
    if (axis >= 0) {
      return std::partition(from, to,
                            [&](int32_t face) {
                              const Quad place = (boxes_[face].centre() - middles.low) * scale;
                              return static_cast<int>(place[axis]) <= last_left;
                            }) -
             order_.begin();
    }
    axis = span[0] >= span[1] && span[0] >= span[2] ? 0 : span[1] >= span[2] ? 1 : 2;
    const auto middle = from + faces / 2;
    std::nth_element(from, middle, to, [&](int32_t a, int32_t b) {
      const float x = boxes_[a].centre()[axis], y = boxes_[b].centre()[axis];
      return x < y || (x == y && a < b);
    });
    return middle - order_.begin();
  }

  // The faces of a small group, sorted along each axis by 16 bits of their middles: by the lower
  // byte, then by the upper one. The order of those that lie together closer does not matter.
  void sort(int64_t begin, int64_t end) {
    const int64_t faces = end - begin;
    base_ = begin;
    FaceBox middles;
    for (int64_t i = 0; i < faces; ++i) {
      faces_[i] = order_[begin + i];
      const Quad centre = boxes_[faces_[i]].centre();
      middles.grow({centre, centre});
    }
    for (int d = 0; d < 3; ++d) {
      const float low = middles.low[d], span = middles.high[d] - low;
      const float scale = span > 0 ? 65535 / span : 0.0f;
      for (int64_t i = 0; i < faces; ++i) {
        const float place = (boxes_[faces_[i]].centre()[d] - low) * scale;
        keys_[i] = static_cast<uint16_t>(place < 65535 ? place : 65535.0f);
      }
      int16_t by_lower[kSmall], all[kSmall];
      std::iota(all, all + faces, int16_t(0));
      sort_by_byte(all, faces, 0, by_lower);
      sort_by_byte(by_lower, faces, 8, sorted_[d]);
    }
  }

  void sort_by_byte(const int16_t* from, int64_t faces, int shift, int16_t* to) const {
    int16_t places[257] = {};
    for (int64_t i = 0; i < faces; ++i) ++places[(keys_[from[i]] >> shift & 255) + 1];
    for (int i = 0; i < 256; ++i) places[i + 1] += places[i];
    for (int64_t i = 0; i < faces; ++i) to[places[keys_[from[i]] >> shift & 255]++] = from[i];
  }

  // The best split of a sorted group, and of what comes of it.
  void split_sorted(int64_t node, int64_t begin, int64_t end) {
    const int64_t faces = end - begin, offset = begin - base_;
    if (faces <= kSixteen) return;
    float best = INFINITY;
    int axis = 0;
    int64_t count = faces / 2;
    for (int d = 0; d < 3 && depths_[node] < kMostUneven; ++d) {
      const int16_t* sorted = sorted_[d] + offset;
      FaceBox box;
      for (int64_t i = faces - 1; i > 0; --i) {
        box.grow(boxes_[faces_[sorted[i]]]);
        costs_[i] = cost(box, faces - i);
      }
      box = {};
      for (int64_t i = 1; i < faces; ++i) {
        box.grow(boxes_[faces_[sorted[i - 1]]]);
        const float total = cost(box, i) + costs_[i];
        if (total < best && is_even(i, faces)) {
          best = total;
          axis = d;
          count = i;
        }
      }
    }
    for (int64_t i = 0; i < faces; ++i) goes_right_[sorted_[axis][offset + i]] = i >= count;
    for (int d = 0; d < 3; ++d) {
      std::stable_partition(sorted_[d] + offset, sorted_[d] + offset + faces,
                            [&](int16_t i) { return !goes_right_[i]; });
    }
    for (int64_t i = 0; i < faces; ++i) order_[begin + i] = faces_[sorted_[0][offset + i]];
    join(node, begin + count);
    const int64_t left = nodes_[node].left, right = nodes_[node].right;
    split_sorted(left, begin, begin + count);
    split_sorted(right, begin + count, end);
  }

  const std::vector<FaceBox>& boxes_;
  std::vector<int32_t>& order_;
  std::vector<SplitNode> nodes_;
  std::vector<int> depths_;
  // Of one small group, whose first face stands at order[base].
  int64_t base_ = 0;
  int32_t faces_[kSmall];
  int16_t sorted_[3][kSmall];
  uint16_t keys_[kSmall];
  float costs_[kSmall];
  bool goes_right_[kSmall];
};

}  // namespace

std::vector<SplitNode> split_faces(const std::vector<FaceBox>& boxes, std::vector<int32_t>& order) {
  const int64_t faces = static_cast<int64_t>(boxes.size());
  order.resize(faces);
  std::iota(order.begin(), order.end(), 0);
  Splitter top(boxes, order);
  std::vector<SplitNode> nodes = top.split(0, faces, 0, std::max(kLeastTask, faces / 64));
  std::vector<int64_t> open;  // nodes that are left to tasks
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].left < 0 && nodes[i].end - nodes[i].begin > kSixteen) open.push_back(i);
  }
  std::vector<std::vector<SplitNode>> parts(open.size());
  parallel_tasks(static_cast<int64_t>(open.size()), [&](int64_t task, int) {
    const SplitNode& root = nodes[open[task]];
    parts[task] = Splitter(boxes, order).split(root.begin, root.end, top.depths()[open[task]], 0);
  });
  for (size_t task = 0; task < parts.size(); ++task) {
    // The part's first node takes the place of the open one, the others follow all that are there.
    const int64_t offset = static_cast<int64_t>(nodes.size()) - 1;
    for (SplitNode& node : parts[task]) {
      if (node.left >= 0) {
        node.left += offset;
        node.right += offset;
      }
    }
    nodes[open[task]] = parts[task][0];
    nodes.insert(nodes.end(), parts[task].begin() + 1, parts[task].end());
  }
  return nodes;
}

}  // namespace fields
