// The occupancy of a field: densities of cells that fade, and the pyramid of bits made from them.
#include "cuda/launch.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/march_tensors.h"

namespace fields::cuda {
namespace {

constexpr int kMeanThreads = 1024;

__global__ void update_cells(float* density, int64_t cells, const int64_t* at, const float* found,
                             int64_t count, float decay) {
  const int64_t i = thread_index();
  if (i >= count || at[i] < 0 || at[i] >= cells) return;
  density[at[i]] = decayed_density(density[at[i]], found[i], decay);
}

// The mean of cells that are seen, or `most` where that is less; by one block, in a fixed order.
__global__ void find_level(const float* density, int64_t cells, float most, float* level) {
  __shared__ double sums[kMeanThreads];
  __shared__ int64_t counts[kMeanThreads];
  double sum = 0;
  int64_t count = 0;
  for (int64_t i = threadIdx.x; i < cells; i += kMeanThreads) {
    if (density[i] < 0.0f) continue;
    sum += density[i];
    ++count;
  }
  sums[threadIdx.x] = sum;
  counts[threadIdx.x] = count;
  for (int half = kMeanThreads / 2; half; half /= 2) {
    __syncthreads();
    if (threadIdx.x >= half) continue;
    sums[threadIdx.x] += sums[threadIdx.x + half];
    counts[threadIdx.x] += counts[threadIdx.x + half];
  }
  if (threadIdx.x) return;
  const double mean = counts[0] ? sums[0] / static_cast<double>(counts[0]) : 0.0;
  *level = static_cast<float>(min(static_cast<double>(most), mean));
}

__global__ void set_cells(const float* density, uint32_t n, const float* level,
                          const uint64_t* finer, int64_t count, uint64_t* words) {
  const int64_t i = thread_index();
  if (i < count) words[i] = cell_word(density, n, static_cast<uint32_t>(i), *level, finer);
}

__global__ void set_level(const uint64_t* below, uint32_t n, int64_t count, uint64_t* words) {
  const int64_t i = thread_index();
  if (i < count) words[i] = level_word(below, n, static_cast<uint32_t>(i));
}

Tensor occupancy_update(Tensor density, Tensor cells, Tensor values, double decay,
                        double threshold) {
  const int64_t cascades = density.size(0), n = density.size(1);
  STD_TORCH_CHECK(density.dim() == 4 && density.size(2) == n && density.size(3) == n &&
                      cascades >= 1 && n >= kLeastResolution && n <= kMostResolution &&
                      (n & (n - 1)) == 0,
                  "density must be [cascades, n, n, n], n a power of two");
  STD_TORCH_CHECK(cells.numel() == values.numel(), "cells and values differ in number");
  const Device device(density);
  float* to = write<float>(density);
  launch_each(device, update_cells, cells.numel(), 1, to, density.numel(), read<int64_t>(cells),
              read<float>(values), cells.numel(), static_cast<float>(decay));
  const int64_t stride = occupancy_words(static_cast<int>(n));
  Tensor bits = torch::stable::new_empty(density, {cascades, stride}, ScalarType::Long);
  Tensor level = empty_of(density, {1});
  uint64_t* words = reinterpret_cast<uint64_t*>(write<int64_t>(bits));
  launch(device, find_level, 1, kMeanThreads, 0, to, density.numel(), static_cast<float>(threshold),
         write<float>(level));
  for (int64_t c = 0; c < cascades; ++c, words += stride) {
    const uint64_t* finer = c ? words - stride : nullptr;
    int64_t count = n * n * n / 64;
    launch_each(device, set_cells, count, 1, to + c * n * n * n, static_cast<uint32_t>(n),
                read<float>(level), finer, count, words);
    uint64_t* below = words;
    for (uint32_t m = static_cast<uint32_t>(n) / 4; m >= 4; m /= 4) {
      uint64_t* above = below + count;
      count = int64_t(m) * m * m / 64;
      launch_each(device, set_level, count, 1, below, m, count, above);
      below = above;
    }
  }
  return bits;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("occupancy_update", TORCH_BOX(&fields::cuda::occupancy_update));
}
