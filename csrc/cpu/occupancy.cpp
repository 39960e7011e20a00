// The occupancy of a field: densities of cells that fade, and the pyramid of bits made from them.
#include <torch/csrc/stable/library.h>

#include <vector>

#include "cpu/march_tensors.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

// Of cells that are seen; slab after slab, whatever the number of threads.
double mean_density(const float* density, int64_t cells, int64_t slab) {
  std::vector<double> sums(cells / slab, 0.0);
  std::vector<int64_t> counts(sums.size(), 0);
  parallel_tasks(static_cast<int64_t>(sums.size()), [&](int64_t task, int) {
    for (int64_t i = task * slab; i < (task + 1) * slab; ++i) {
      if (density[i] < 0.0f) continue;
      sums[task] += density[i];
      ++counts[task];
    }
  });
  double sum = 0;
  int64_t count = 0;
  for (size_t i = 0; i < sums.size(); ++i) sum += sums[i], count += counts[i];
  return count ? sum / static_cast<double>(count) : 0.0;
}

// One cascade's pyramid; `finer` is that of the next finer one, or null.
void set_bits(const float* density, uint32_t n, float threshold, const uint64_t* finer,
              uint64_t* words) {
  const int64_t bricks = n / 4;
  parallel_tasks(bricks, [&](int64_t task, int) {
    for (int64_t i = task * bricks * bricks; i < (task + 1) * bricks * bricks; ++i) {
      words[i] = cell_word(density, n, static_cast<uint32_t>(i), threshold, finer);
    }
  });
  for (n /= 4; n >= 4; n /= 4) {
    uint64_t* above = words + int64_t(n) * n * n;
    for (uint32_t i = 0; i < n * n * n / 64; ++i) above[i] = level_word(words, n, i);
    words = above;
  }
}

Tensor occupancy_update(Tensor density, Tensor cells, Tensor values, double decay,
                        double threshold) {
  const int64_t cascades = density.size(0), n = density.size(1);
  STD_TORCH_CHECK(density.dim() == 4 && density.size(2) == n && density.size(3) == n &&
                      cascades >= 1 && n >= kLeastResolution && n <= kMostResolution &&
                      (n & (n - 1)) == 0,
                  "density must be [cascades, n, n, n], n a power of two");
  STD_TORCH_CHECK(cells.numel() == values.numel(), "cells and values differ in number");
  float* to = write<float>(density);
  const int64_t* at = read<int64_t>(cells);
  const float* found = read<float>(values);
  for (int64_t i = 0; i < cells.numel(); ++i) {
    STD_TORCH_CHECK(at[i] >= 0 && at[i] < density.numel(), "a cell is out of range");
    to[at[i]] = decayed_density(to[at[i]], found[i], static_cast<float>(decay));
  }
  const int64_t stride = occupancy_words(static_cast<int>(n));
  Tensor bits = torch::stable::new_empty(density, {cascades, stride}, ScalarType::Long);
  uint64_t* words = reinterpret_cast<uint64_t*>(write<int64_t>(bits));
  const double mean = mean_density(to, density.numel(), n * n);
  for (int64_t c = 0; c < cascades; ++c) {
    set_bits(to + c * n * n * n, static_cast<uint32_t>(n),
             static_cast<float>(std::min(threshold, mean)), c ? words + (c - 1) * stride : nullptr,
             words + c * stride);
  }
  return bits;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("occupancy_update", TORCH_BOX(&fields::occupancy_update));
}
