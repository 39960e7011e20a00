// A radiance field as tensors: arguments and checks that its ops share, on any device.
#pragma once

#include "cpu/march_tensors.h"
#include "cpu/radiance.h"

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

// Rays as the radiance ops take them; times only where the grid has four axes.
inline int64_t checked_batch(const Tensor& origins, const Tensor& directions,
                             const std::optional<Tensor>& times, int dim) {
  const int64_t rays = checked_rays(origins, directions);
  STD_TORCH_CHECK(times.has_value() == (dim == 4) && (dim == 3 || dim == 4),
                  "times belong to a grid of four axes");
  STD_TORCH_CHECK(!times || times->numel() == rays, "times must be [R]");
  return rays;
}

}  // namespace fields
