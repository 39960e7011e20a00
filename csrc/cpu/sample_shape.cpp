// Batches of points with their distances to a mesh.
#include <torch/csrc/stable/library.h>

#include "cpu/bvh_search.h"
#include "cpu/bvh_tensors.h"
#include "cpu/parallel.h"
#include "maths/shape_samples.h"

namespace fields {
namespace {

constexpr int64_t kChunk = 128;
constexpr int64_t kAhead = 2;  // samples whose leaves are fetched while one is searched for

void prefetch_leaf(const Bvh& bvh, int leaf) {
  const float* rows = bvh.leaves + int64_t(leaf) * kLeafRows * kSixteen;
  for (int row = 0; row < kLeafRows; ++row) __builtin_prefetch(rows + row * kSixteen);
}

std::tuple<Tensor, Tensor> sample_shape(BVH_TENSORS, int64_t surface, int64_t near, int64_t uniform,
                                        int64_t seed, int64_t step, double jitter, double sigma,
                                        double truncation, int64_t sign) {
  const Bvh bvh = checked_bvh(BVH_ARGUMENTS);
  const int64_t count = checked_count(surface, near, uniform);
  const auto sampler = make_shape_sampler(surface, near, uniform, jitter, sigma, seed, step);
  Tensor coords = empty_of(corners, {count, 3}), distances = empty_of(corners, {count, 1});
  float *to_coords = write<float>(coords), *to_distances = write<float>(distances);
  parallel_tasks((count + kChunk - 1) / kChunk, [&](int64_t task, int) {
    const int64_t begin = task * kChunk, end = std::min(count, begin + kChunk);
    Sample drawn[kChunk];
    int from = 0;
    for (int64_t i = begin; i < end; ++i) {
      drawn[i - begin] = draw_sample(bvh, sampler, i, i < surface + near ? from : 0);
      from = drawn[i - begin].leaf;
    }
    for (int64_t i = begin; i < end; ++i) {
      const Sample& sample = drawn[i - begin];
      if (i + kAhead < end) prefetch_leaf(bvh, drawn[i + kAhead - begin].leaf);
      const Found best = find_nearest(bvh, sample.point, sample.leaf);
      float distance =
          nearest_of(bvh, sample.point, best.leaf, best.lane, sign == kPseudonormal).distance;
      if (sign == kWinding && find_winding(bvh, sample.point) > 0.5f) distance = -distance;
      for (int d = 0; d < 3; ++d) to_coords[3 * i + d] = sample.point[d];
      to_distances[i] = truncated(distance, static_cast<float>(truncation));
    }
  });
  return {coords, distances};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("sample_shape", TORCH_BOX(&fields::sample_shape));
}
