// Samples along rays, packed one ray behind the other.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "cpu/march_tensors.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

constexpr int64_t kRun = 128;  // rays of a task

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> march_rays(Tensor origins, Tensor directions,
                                                              Tensor bits, MARCH_RULE, bool jitter,
                                                              int64_t seed, int64_t step) {
  const MarchRule rule = checked_rule(MARCH_ARGUMENTS);
  const Occupancy occupancy = checked_occupancy(bits, resolution, contract);
  const int64_t rays = checked_rays(origins, directions), runs = (rays + kRun - 1) / kRun;
  const RayBatch batch{read<float>(origins), read<float>(directions), rays, march_key(seed, step),
                       jitter};
  Tensor offsets = torch::stable::new_empty(origins, {rays + 1}, ScalarType::Long);
  int64_t* begin = write<int64_t>(offsets);
  std::vector<std::vector<MarchSample>> found(runs);
  parallel_tasks(runs, [&](int64_t run, int) {
    std::vector<MarchSample> samples;
    MarchSample sample;
    for (int64_t r = run * kRun; r < std::min(rays, (run + 1) * kRun); ++r) {
      RayWalk<float> walk = batch.begin(rule, r);
      begin[r] = static_cast<int64_t>(samples.size());  // within the run, as yet
      while (next_sample(rule, occupancy, walk, sample)) samples.push_back(sample);
    }
    found[run] = std::move(samples);
  });
  std::vector<int64_t> first(runs + 1, 0);
  for (int64_t run = 0; run < runs; ++run) {
    first[run + 1] = first[run] + static_cast<int64_t>(found[run].size());
  }
  begin[rays] = first[runs];
  Tensor coords = empty_of(origins, {first[runs], 3});
  Tensor t = empty_of(origins, {first[runs]}), dt = empty_of(origins, {first[runs]});
  Tensor ray = torch::stable::new_empty(origins, {first[runs]}, ScalarType::Int);
  float *to_coords = write<float>(coords), *to_t = write<float>(t), *to_dt = write<float>(dt);
  int32_t* to_ray = write<int32_t>(ray);
  parallel_tasks(runs, [&](int64_t run, int) {
    const int64_t last = std::min(rays, (run + 1) * kRun);
    for (int64_t r = run * kRun; r < last; ++r) begin[r] += first[run];
    int64_t r = run * kRun;
    for (int64_t i = first[run]; i < first[run + 1]; ++i) {
      while (r + 1 < last && begin[r + 1] <= i) ++r;
      const MarchSample& sample = found[run][i - first[run]];
      for (int d = 0; d < 3; ++d) to_coords[3 * i + d] = sample.coords[d];
      to_t[i] = sample.t;
      to_dt[i] = sample.dt;
      to_ray[i] = static_cast<int32_t>(r);
    }
  });
  return {coords, t, dt, ray, offsets};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) { m.impl("march_rays", TORCH_BOX(&fields::march_rays)); }
