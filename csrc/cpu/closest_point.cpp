// The nearest point of a mesh, and its winding number, for points given.
#include <torch/csrc/stable/library.h>

#include "cpu/bvh_search.h"
#include "cpu/bvh_tensors.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int64_t kChunk = 128;

std::tuple<Tensor, Tensor, Tensor> closest_point(Tensor points, BVH_TENSORS, bool has_sign) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const float* from = checked_points(points);
  const int64_t count = points.size(0);
  Tensor distances = empty_of(points, {count}), found = empty_of(points, {count, 3});
  Tensor faces = torch::stable::new_empty(points, {count}, ScalarType::Int);
  float *to_distances = write<float>(distances), *to_found = write<float>(found);
  int32_t* to_faces = static_cast<int32_t*>(faces.mutable_data_ptr());
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min(count, (task + 1) * kChunk); ++i) {
      const float* point = from + 3 * i;
      const Found best = find_nearest(bvh, point, table_leaf(bvh, point));
      const Nearest nearest = nearest_of(bvh, point, best.leaf, best.lane, has_sign);
      to_distances[i] = nearest.distance;
      to_faces[i] = bvh.ids[nearest.face];
      for (int d = 0; d < 3; ++d) to_found[3 * i + d] = nearest.point[d];
    }
  });
  return {distances, faces, found};
}

Tensor winding_number(Tensor points, BVH_TENSORS) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const float* from = checked_points(points);
  const int64_t count = points.size(0);
  Tensor numbers = empty_of(points, {count});
  float* to = write<float>(numbers);
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    for (int64_t i = task * kChunk; i < std::min(count, (task + 1) * kChunk); ++i) {
      to[i] = find_winding(bvh, from + 3 * i);
    }
  });
  return numbers;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("closest_point", TORCH_BOX(&fields::closest_point));
  m.impl("winding_number", TORCH_BOX(&fields::winding_number));
}
