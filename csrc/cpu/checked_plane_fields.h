// What the kernels need to know of many small fields, from tensors that fit each other.
#pragma once

#include "cpu/checked_planes.h"
#include "maths/plane_field.h"

namespace fields {

// planes [F, 3, R, R, C], params [F, n]; texel centres lie on the faces of the cube.
inline PlaneFieldShape checked_plane_fields(const Tensor& planes, const Tensor& params,
                                            int64_t octaves, int64_t width, int64_t depth,
                                            int64_t channels, bool bias, int64_t activation,
                                            int64_t output_activation, int64_t precision,
                                            double first_omega, double omega) {
  STD_TORCH_CHECK(planes.dim() == 5 && planes.size(1) == 3 && planes.size(2) == planes.size(3) &&
                      params.dim() == 2 && params.size(0) == planes.size(0),
                  "planes and params must be [F, 3, R, R, C], [F, n]");
  const int64_t resolution = planes.size(2), features = planes.size(4);
  STD_TORCH_CHECK(resolution >= 1 && resolution <= kMaxPlaneResolution && features >= 1 &&
                      features <= kMaxPlaneChannels,
                  "planes are out of range");
  STD_TORCH_CHECK(octaves >= 0 && octaves <= kMaxOctaves && precision == 0,
                  "octaves or precision out of range");
  PlaneFieldShape shape;
  shape.planes = {make_plane_grid(resolution, true, false), 3, static_cast<int>(features), true};
  shape.octaves = static_cast<int>(octaves);
  shape.mlp = {static_cast<int>(features) + positional_rows(shape.octaves),
               static_cast<int>(width),
               static_cast<int>(depth),
               static_cast<int>(channels),
               bias,
               static_cast<Activation>(activation),
               static_cast<Activation>(output_activation),
               first_omega,
               omega};
  STD_TORCH_CHECK(first_omega > 0 && omega > 0, "frequencies must be more than 0");
  STD_TORCH_CHECK(params.size(1) == shape.mlp.size(), "params must have ", shape.mlp.size(),
                  " numbers a field, has ", params.size(1));
  return shape;
}

// A set of fields with its moments, its pools and how it is fitted.
struct PlaneFieldTensors {
  int64_t fields, pool;
  const float* samples;  // [F][pool][3 + channels]
  const int64_t* keys;   // [F]
  float *planes, *planes_m, *planes_v;
  float *params, *params_m, *params_v;
};

inline PlaneFieldTensors checked_plane_fit(const PlaneFieldShape& shape, const PlaneFieldFit& fit,
                                           const Tensor& samples, const Tensor& keys,
                                           const Tensor& planes, const Tensor& planes_m,
                                           const Tensor& planes_v, const Tensor& params,
                                           const Tensor& params_m, const Tensor& params_v) {
  const int64_t fields = planes.size(0);
  STD_TORCH_CHECK(samples.dim() == 3 && samples.size(0) == fields &&
                      samples.size(2) == 3 + shape.mlp.outputs && keys.numel() == fields,
                  "samples and keys must be [F, S, 3 + channels], [F]");
  STD_TORCH_CHECK(planes_m.numel() == planes.numel() && planes_v.numel() == planes.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  const int64_t pool = samples.size(1);
  STD_TORCH_CHECK(fit.batch >= 1 && fit.batch < (int64_t(1) << 31) && fit.first_step >= 1 &&
                      fit.steps >= 0 && fit.total >= 1 && fit.final_share > 0,
                  "steps or batch out of range");
  STD_TORCH_CHECK(fields == 0 || (pool >= 1 && pool < (int64_t(1) << 31)), "pool out of range");
  return {fields,
          pool,
          read<float>(samples),
          read<int64_t>(keys),
          write<float>(planes),
          write<float>(planes_m),
          write<float>(planes_v),
          write<float>(params),
          write<float>(params_m),
          write<float>(params_v)};
}

}  // namespace fields
