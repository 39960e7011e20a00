// Sphere tracing as tensors: arguments and checks that its ops share, on any device.
#pragma once

#include "cpu/tensors.h"
#include "maths/trace.h"

namespace fields {

// In the order of the schema.
#define TRACE_RULE \
  double bound, double least, double near, double level, double back, double offset, int64_t most
#define TRACE_ARGUMENTS box, bound, least, near, level, back, offset, most

inline TraceRule checked_trace(const Tensor& box, TRACE_RULE) {
  STD_TORCH_CHECK(box.is_cpu() && box.dim() == 2 && box.size(0) == 2 && box.size(1) == 3,
                  "box must be [2, 3] on the CPU");
  STD_TORCH_CHECK(bound > 0 && least > 0 && near >= 0 && offset >= 0 && most >= 1,
                  "steps out of range");
  TraceRule rule{static_cast<float>(bound),
                 static_cast<float>(least),
                 static_cast<float>(near),
                 static_cast<float>(level),
                 static_cast<float>(back),
                 static_cast<float>(offset),
                 static_cast<int>(most),
                 {},
                 {}};
  const float* corners = read<float>(box);
  for (int d = 0; d < 3; ++d) {
    rule.low[d] = max(corners[d], 0.0f);
    rule.high[d] = min(corners[3 + d], 1.0f);
  }
  return rule;
}

// Number of rays; one origin may stand for all.
inline int64_t checked_traced_rays(const Tensor& origins, const Tensor& directions,
                                   const Tensor& table, int64_t width) {
  STD_TORCH_CHECK(origins.dim() == 2 && origins.size(1) == 3 && directions.dim() == 2 &&
                      directions.size(1) == 3 &&
                      (origins.size(0) == directions.size(0) || origins.size(0) == 1),
                  "origins must be [R, 3] or [1, 3], directions [R, 3]");
  STD_TORCH_CHECK(table.scalar_type() == ScalarType::Float, "tracing is float32");
  const int64_t rays = directions.size(0);
  STD_TORCH_CHECK(width >= 0 && (width == 0 || rays % width == 0), "rays must make whole rows");
  return rays;
}

}  // namespace fields
