// A radiance field as tensors: arguments and checks that its ops share, on any device.
#pragma once

#include "cpu/checked_rbf.h"
#include "cpu/march_tensors.h"
#include "cpu/radiance_rbf.h"
#include "cpu/ray_run.h"

namespace fields {

// In the order of the schema.
#define RADIANCE                                                                            \
  int64_t density_width, int64_t density_depth, int64_t colour_width, int64_t colour_depth, \
      int64_t degree, int64_t precision
#define RADIANCE_ARGUMENTS \
  density_width, density_depth, colour_width, colour_depth, degree, precision

inline RadianceShape checked_radiance(int64_t features, const Tensor& density_params,
                                      const Tensor& colour_params, RADIANCE) {
  (void)precision;
  STD_TORCH_CHECK(degree >= 1 && degree <= kMostHarmonicDegree, "degree out of range");
  const auto mlp = [](int64_t inputs, const Tensor& params, int64_t width, int64_t depth,
                      int64_t outputs, Activation activation) {
    return checked_mlp(inputs, params, width, depth, outputs, false,
                       static_cast<int64_t>(Activation::relu), static_cast<int64_t>(activation), 1,
                       1);
  };
  return {mlp(features, density_params, density_width, density_depth, kRadianceFeatures,
              Activation::none),
          mlp(kRadianceFeatures + degree * degree, colour_params, colour_width, colour_depth, 3,
              Activation::sigmoid),
          static_cast<int>(degree)};
}

#define RBF_RADIANCE \
  int64_t kernels, bool affine, double factor, int64_t output_activation, int64_t degree
#define RBF_RADIANCE_ARGUMENTS kernels, affine, factor, output_activation, degree

inline RbfRadianceShape checked_rbf_radiance(int64_t features, const Tensor& params, RBF_RADIANCE) {
  STD_TORCH_CHECK(degree >= 1 && degree <= kMostHarmonicDegree, "degree out of range");
  return {checked_rbf(features, params, kernels, 1 + 3 * degree * degree, affine, factor,
                      output_activation),
          static_cast<int>(degree)};
}

// Rays as the radiance ops take them; times only where the grid has four axes.
inline int64_t checked_batch(const Tensor& origins, const Tensor& directions,
                             const std::optional<Tensor>& times, int dim) {
  const int64_t rays = checked_rays(origins, directions);
  STD_TORCH_CHECK(times.has_value() == (dim == 4) && (dim == 3 || dim == 4),
                  "times belong to a grid of four axes");
  STD_TORCH_CHECK(!times || times->numel() == rays, "times must be [R]");
  return rays;
}

// Arguments of these ops, in the order of the schema.
#define RAYS Tensor origins, Tensor directions, std::optional<Tensor> times
#define GRID_OF_TABLE                                                                       \
  int64_t num_levels, int64_t base_resolution, double grid_growth, int64_t log2_table_size, \
      bool smoothstep
#define GRID_ARGUMENTS num_levels, base_resolution, grid_growth, log2_table_size, smoothstep
#define LIMITS double min_weight, double min_transmittance

// Rays and what they are marched through, as kernels take them. The field refers to what else is
// here, so a Marched stays in place.
struct Marched {
  Marched(const Tensor& origins, const Tensor& directions, const std::optional<Tensor>& times,
          const Tensor& bits, MARCH_RULE, const Tensor& table, GRID_OF_TABLE, LIMITS, uint32_t key,
          bool jitter)
      : dim(times ? 4 : 3),
        batch{read<float>(origins), read<float>(directions),
              checked_batch(origins, directions, times, dim), key, jitter},
        times(times ? read<float>(*times) : nullptr),
        rule(checked_rule(MARCH_ARGUMENTS)),
        occupancy(checked_occupancy(bits, resolution, contract)),
        limits{static_cast<float>(min_weight), static_cast<float>(min_transmittance)},
        table(checked_grid(empty_of(origins, {0, dim}), table, num_levels, base_resolution,
                           grid_growth, log2_table_size, smoothstep),
              dim, static_cast<int>(table.size(1)), read<float>(table)),
        field{rule, occupancy, limits, this->table} {}
  Marched(const Marched&) = delete;

  int dim;
  RayBatch batch;
  const float* times;
  MarchRule rule;
  Occupancy occupancy;
  MarchLimits limits;
  GridTable<float> table;
  MarchedField field;
};

}  // namespace fields
