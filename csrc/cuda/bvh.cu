// Searches through a hierarchy on a GPU: half a warp for each point, a child of a node or a
// triangle of a leaf for each of its sixteen threads.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/bvh_tensors.h"
#include "maths/shape_samples.h"

namespace fields::cuda {
namespace {

constexpr int kGroups = 4;  // points of a block
constexpr int kThreads = kGroups * kSixteen;

struct Entry {
  float distance2;
  int child;
};
// What is still to be looked at, for each group.
constexpr size_t kStackBytes = kGroups * kStackSize * sizeof(Entry);

// The sixteen threads that look for one point's answer.
class Group {
 public:
  __device__ Group() : lane_(threadIdx.x % kSixteen), mask_(0xffffu << (threadIdx.x & 31 & ~15)) {
    extern __shared__ char memory[];
    stack_ = reinterpret_cast<Entry*>(memory) + threadIdx.x / kSixteen * kStackSize;
  }
  __device__ int lane() const { return lane_; }
  // A bit for each thread.
  __device__ unsigned ballot(bool vote) const {
    return __ballot_sync(mask_, vote) >> (threadIdx.x & 16);
  }
  __device__ float shuffle(float value, int lane) const {
    return __shfl_sync(mask_, value, lane, kSixteen);
  }
  __device__ float sum(float value) const {
    for (int step = kSixteen / 2; step; step /= 2) {
      value += __shfl_xor_sync(mask_, value, step, kSixteen);
    }
    return value;
  }
  __device__ void sync() const { __syncwarp(mask_); }
  __device__ Entry& stack(int i) const { return stack_[i]; }

 private:
  int lane_;
  unsigned mask_;
  Entry* stack_;
};

// This thread's number of row i.
struct Column {
  const float* data;
  __device__ float operator()(int i) const { return __ldg(data + i * kSixteen); }
};

__device__ Column column(const float* rows, int64_t item, int count, const Group& group) {
  return {rows + item * count * kSixteen + group.lane()};
}

__device__ void search_leaf(const Bvh& bvh, int leaf, const float* p, const Group& group,
                            Found& best) {
  const float distance2 =
      triangle_distance2<float>(column(bvh.leaves, leaf, kLeafRows, group), p[0], p[1], p[2]);
  for (unsigned nearer = group.ballot(distance2 < best.distance2); nearer; nearer &= nearer - 1) {
    const int lane = __ffs(static_cast<int>(nearer)) - 1;
    const float other = group.shuffle(distance2, lane);
    if (other < best.distance2) best = {other, leaf, lane};
  }
}

__device__ Found find_nearest(const Bvh& bvh, const float* p, int start, const Group& group) {
  Found best{INFINITY, start, 0};
  search_leaf(bvh, start, p, group, best);
  int size = 0;
  int child = 0;
  while (true) {
    if (child < 0) {
      search_leaf(bvh, ~child, p, group, best);
    } else {
      const float distance2 =
          box_distance2<float>(column(bvh.boxes, child, kBoxRows, group), p[0], p[1], p[2]);
      const int next = __ldg(bvh.children + int64_t(child) * kSixteen + group.lane());
      const bool opens = distance2 < best.distance2 && next != ~start;
      const unsigned open = group.ballot(opens);
      // The nearest goes on top: a thread's place is the number of those that are further away.
      int place = size;
      for (unsigned rest = open; rest; rest &= rest - 1) {
        const int lane = __ffs(static_cast<int>(rest)) - 1;
        const float other = group.shuffle(distance2, lane);
        place += other > distance2 || (other == distance2 && lane > group.lane());
      }
      if (opens) group.stack(place) = {distance2, next};
      size += __popc(open);
      group.sync();
    }
    Entry entry;
    do {
      if (size == 0) return best;
      entry = group.stack(--size);
    } while (!(entry.distance2 < best.distance2));
    child = entry.child;
    group.sync();
  }
}

__device__ float find_winding(const Bvh& bvh, const float* p, const Group& group) {
  float total = 0;
  int size = 0, child = 0;
  while (true) {
    if (child < 0) {
      total +=
          triangle_winding<float>(column(bvh.leaves, ~child, kLeafRows, group), p[0], p[1], p[2]);
    } else {
      bool near;
      const float far = group_winding<float>(column(bvh.moments, child, kMomentRows, group), p[0],
                                             p[1], p[2], near);
      if (!near) total += far;
      const unsigned open = group.ballot(near);
      if (near) {
        const int place = size + __popc(open & ((1u << group.lane()) - 1));
        group.stack(place).child = __ldg(bvh.children + int64_t(child) * kSixteen + group.lane());
      }
      size += __popc(open);
      group.sync();
    }
    if (size == 0) return group.sum(total);
    child = group.stack(--size).child;
    group.sync();
  }
}

// Number of the point that this thread helps to answer; blocks hold kGroups of them.
__device__ int64_t point_index() { return thread_index() / kSixteen; }

__global__ void closest(const Bvh bvh, const float* points, int64_t count, bool has_sign,
                        float* distances, int32_t* faces, float* found) {
  const int64_t i = point_index();
  if (i >= count) return;
  const Group group;
  const float p[3] = {points[3 * i], points[3 * i + 1], points[3 * i + 2]};
  const Found best = find_nearest(bvh, p, table_leaf(bvh, p), group);
  if (group.lane() > 0) return;
  const Nearest nearest = nearest_of(bvh, p, best.leaf, best.lane, has_sign);
  distances[i] = nearest.distance;
  faces[i] = bvh.ids[nearest.face];
  for (int d = 0; d < 3; ++d) found[3 * i + d] = nearest.point[d];
}

__global__ void winding(const Bvh bvh, const float* points, int64_t count, float* numbers) {
  const int64_t i = point_index();
  if (i >= count) return;
  const Group group;
  const float p[3] = {points[3 * i], points[3 * i + 1], points[3 * i + 2]};
  const float number = find_winding(bvh, p, group);
  if (group.lane() == 0) numbers[i] = number;
}

__global__ void sample(const Bvh bvh, const ShapeSampler sampler, int64_t count, int sign,
                       float truncation, float* coords, float* distances) {
  const int64_t i = point_index();
  if (i >= count) return;
  const Group group;
  const Sample drawn = draw_sample(bvh, sampler, i, 0);
  const Found best = find_nearest(bvh, drawn.point, drawn.leaf, group);
  const bool inside = sign == kWinding && find_winding(bvh, drawn.point, group) > 0.5f;
  if (group.lane() > 0) return;
  const float distance =
      nearest_of(bvh, drawn.point, best.leaf, best.lane, sign == kPseudonormal).distance;
  for (int d = 0; d < 3; ++d) coords[3 * i + d] = drawn.point[d];
  distances[i] = truncated(inside ? -distance : distance, truncation);
}

template <class... Parameters, class... Arguments>
void launch_search(const Device& device, void (*kernel)(Parameters...), int64_t count,
                   const Arguments&... arguments) {
  launch(device, kernel, dim3(static_cast<unsigned>(ceil_div(count, kGroups))), dim3(kThreads),
         kStackBytes, arguments...);
}

std::tuple<Tensor, Tensor, Tensor> closest_point(Tensor points, BVH_TENSORS, bool has_sign) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const Device device(points);
  const int64_t count = points.size(0);
  Tensor distances = empty_of(points, {count}), found = empty_of(points, {count, 3});
  Tensor faces = torch::stable::new_empty(points, {count}, ScalarType::Int);
  launch_search(device, closest, count, bvh, checked_points(points), count, has_sign,
                write<float>(distances), static_cast<int32_t*>(faces.mutable_data_ptr()),
                write<float>(found));
  return {distances, faces, found};
}

Tensor winding_number(Tensor points, BVH_TENSORS) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const Device device(points);
  const int64_t count = points.size(0);
  Tensor numbers = empty_of(points, {count});
  launch_search(device, winding, count, bvh, checked_points(points), count, write<float>(numbers));
  return numbers;
}

std::tuple<Tensor, Tensor> sample_shape(BVH_TENSORS, int64_t surface, int64_t near, int64_t uniform,
                                        int64_t seed, int64_t step, double jitter, double sigma,
                                        double truncation, int64_t sign) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const Device device(corners);
  const int64_t count = checked_count(surface, near, uniform);
  const auto sampler = make_shape_sampler(surface, near, uniform, jitter, sigma, seed, step);
  Tensor coords = empty_of(corners, {count, 3}), distances = empty_of(corners, {count, 1});
  launch_search(device, sample, count, bvh, sampler, count, static_cast<int>(sign),
                static_cast<float>(truncation), write<float>(coords), write<float>(distances));
  return {coords, distances};
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("closest_point", TORCH_BOX(&fields::cuda::closest_point));
  m.impl("winding_number", TORCH_BOX(&fields::cuda::winding_number));
  m.impl("sample_shape", TORCH_BOX(&fields::cuda::sample_shape));
}
