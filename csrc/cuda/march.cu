// Samples along rays, packed: rays are walked twice, to count their samples and to write them.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/march_tensors.h"

namespace fields::cuda {
namespace {

constexpr int kScanThreads = 1024;

__global__ void count_samples(const RayBatch batch, const MarchRule rule, const Occupancy occupancy,
                              int64_t* counts) {
  const int64_t ray = thread_index();
  if (ray >= batch.rays) return;
  RayWalk<float> walk = batch.begin(rule, ray);
  MarchSample sample;
  int64_t count = 0;
  while (next_sample(rule, occupancy, walk, sample)) ++count;
  counts[ray] = count;
}

// counts [n + 1] to the sums of those before each, by one block: every thread adds up a run of
// them.
__global__ void sum_before(int64_t* counts, int64_t n) {
  __shared__ int64_t sums[kScanThreads];
  const int64_t begin = n * threadIdx.x / kScanThreads, end = n * (threadIdx.x + 1) / kScanThreads;
  int64_t own = 0;
  for (int64_t i = begin; i < end; ++i) own += counts[i];
  sums[threadIdx.x] = own;
  for (int offset = 1; offset < kScanThreads; offset *= 2) {
    __syncthreads();
    const int64_t before = threadIdx.x >= offset ? sums[threadIdx.x - offset] : 0;
    __syncthreads();
    sums[threadIdx.x] += before;
  }
  int64_t sum = sums[threadIdx.x] - own;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t count = counts[i];
    counts[i] = sum;
    sum += count;
  }
  if (threadIdx.x == kScanThreads - 1) counts[n] = sum;
}

struct PackedRays {
  float *coords, *t, *dt;
  int32_t* ray;
};

__global__ void write_samples(const RayBatch batch, const MarchRule rule, const Occupancy occupancy,
                              const int64_t* offsets, const PackedRays out) {
  const int64_t ray = thread_index();
  if (ray >= batch.rays) return;
  RayWalk<float> walk = batch.begin(rule, ray);
  MarchSample sample;
  for (int64_t i = offsets[ray]; next_sample(rule, occupancy, walk, sample); ++i) {
#pragma unroll
    for (int d = 0; d < 3; ++d) out.coords[3 * i + d] = sample.coords[d];
    out.t[i] = sample.t;
    out.dt[i] = sample.dt;
    out.ray[i] = static_cast<int32_t>(ray);
  }
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> march_rays(Tensor origins, Tensor directions,
                                                              Tensor bits, MARCH_RULE, bool jitter,
                                                              int64_t seed, int64_t step) {
  const MarchRule rule = checked_rule(MARCH_ARGUMENTS);
  const Occupancy occupancy = checked_occupancy(bits, resolution, contract);
  const int64_t rays = checked_rays(origins, directions);
  const RayBatch batch{read<float>(origins), read<float>(directions), rays, march_key(seed, step),
                       jitter};
  const Device device(origins);
  Tensor offsets = torch::stable::new_empty(origins, {rays + 1}, ScalarType::Long);
  int64_t* begin = write<int64_t>(offsets);
  launch_each(device, count_samples, rays, 1, batch, rule, occupancy, begin);
  launch(device, sum_before, 1, kScanThreads, 0, begin, rays);
  int64_t count = 0;
  check(cudaMemcpyAsync(&count, begin + rays, sizeof(count), cudaMemcpyDeviceToHost,
                        device.stream()));
  device.wait();
  Tensor coords = empty_of(origins, {count, 3});
  Tensor t = empty_of(origins, {count}), dt = empty_of(origins, {count});
  Tensor ray = torch::stable::new_empty(origins, {count}, ScalarType::Int);
  const PackedRays out{write<float>(coords), write<float>(t), write<float>(dt),
                       write<int32_t>(ray)};
  launch_each(device, write_samples, rays, 1, batch, rule, occupancy, begin, out);
  return {coords, t, dt, ray, offsets};
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("march_rays", TORCH_BOX(&fields::cuda::march_rays));
}
