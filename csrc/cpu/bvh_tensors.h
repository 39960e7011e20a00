// A hierarchy as tensors: what passes between the ops, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/bvh.h"

namespace fields {

template <class S>
const S* read_as(const Tensor& tensor, ScalarType type, int64_t numbers) {
  STD_TORCH_CHECK(tensor.scalar_type() == type && tensor.is_contiguous(),
                  "a tensor of the hierarchy has another dtype, or is not contiguous");
  STD_TORCH_CHECK(tensor.numel() == numbers, "tensors of the hierarchy do not fit together");
  return static_cast<const S*>(tensor.const_data_ptr());
}

// Arguments of every op that searches, in the order of the schema.
#define BVH_TENSORS                                                                          \
  Tensor corners, Tensor ids, Tensor normals, Tensor boxes, Tensor children, Tensor moments, \
      Tensor leaves, Tensor first, Tensor area, Tensor table, Tensor bounds
#define BVH_ARGUMENTS \
  corners, ids, normals, boxes, children, moments, leaves, first, area, table, bounds

inline Bvh checked_bvh(const Tensor& corners, const Tensor& ids, const Tensor& normals,
                       const Tensor& boxes, const Tensor& children, const Tensor& moments,
                       const Tensor& leaves, const Tensor& first, const Tensor& area,
                       const Tensor& table, const Tensor& bounds) {
  constexpr ScalarType kFloat = ScalarType::Float, kInt = ScalarType::Int;
  const int64_t faces = ids.numel(), nodes = boxes.size(0), leaf_count = leaves.size(0);
  STD_TORCH_CHECK(faces > 0 && nodes > 0 && leaf_count > 0, "the hierarchy is empty");
  return {read_as<float>(corners, kFloat, 9 * faces),
          read_as<int32_t>(ids, kInt, faces),
          read_as<float>(normals, kFloat, 21 * faces),
          read_as<float>(boxes, kFloat, nodes * kBoxRows * kSixteen),
          read_as<int32_t>(children, kInt, nodes * kSixteen),
          read_as<float>(moments, kFloat, nodes * kMomentRows * kSixteen),
          read_as<float>(leaves, kFloat, leaf_count * kLeafRows * kSixteen),
          read_as<int32_t>(first, kInt, leaf_count + 1),
          read_as<double>(area, ScalarType::Double, leaf_count),
          read_as<int32_t>(table, kInt, int64_t(kTableSize) * kTableSize * kTableSize),
          read_as<float>(bounds, kFloat, 6),
          leaf_count};
}

inline const float* checked_points(const Tensor& points) {
  STD_TORCH_CHECK(points.dim() == 2 && points.size(1) == 3, "points must be [N, 3]");
  return read<float>(points);
}

// Samples of a batch, all kinds together.
inline int64_t checked_count(int64_t surface, int64_t near, int64_t uniform) {
  STD_TORCH_CHECK(surface >= 0 && near >= 0 && uniform >= 0, "numbers of samples are negative");
  STD_TORCH_CHECK(surface + near + uniform < (int64_t(1) << 31), "too many samples");
  return surface + near + uniform;
}

}  // namespace fields
