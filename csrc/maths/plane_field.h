// Many small fields of one shape: each has a tri-plane of its own, beside it the place itself in a
// few octaves, and a small MLP behind both (Cardace et al. 2024, "Neural Processing of Tri-Plane
// Hybrid Neural Fields", section 3).
//
// What the MLP takes: C features, the sum of three planes; p in [-1, 1]^3; then for each octave k
// sin(2^k p) and cos(2^k p), three numbers each.
#pragma once

#include "activation.h"
#include "mlp_shape.h"
#include "random.h"
#include "triplane.h"

namespace fields {

constexpr int kMaxOctaves = 16;

FIELDS_HD constexpr int positional_rows(int octaves) { return 3 + 6 * octaves; }

struct PlaneFieldShape {
  PlaneShape planes;  // three, summed
  int octaves;
  MlpShape mlp;

  FIELDS_HD int64_t plane_numbers() const { return 3 * int64_t(planes.plane_size()); }
};

// write(row, value) for each row behind the features, of a place x [3] in the unit cube.
template <class V, class Write>
FIELDS_HD void positional(int octaves, const V (&x)[3], const Write& write) {
  using S = ScalarOf<V>;
  const V two = splat<V>(S(2)), one = splat<V>(S(1));
  for (int d = 0; d < 3; ++d) {
    V p = x[d] * two - one;
    write(d, p);
    for (int k = 0; k < octaves; ++k) {
      V sine, cosine;
      sincos(p, sine, cosine);
      write(3 + 6 * k + d, sine);
      write(6 + 6 * k + d, cosine);
      p = p * two;
    }
  }
}

// Of the draws of one field in one step.
FIELDS_HD uint32_t pool_key(int64_t field_key, int64_t step) {
  const uint32_t of_field =
      mix(static_cast<uint32_t>(field_key), static_cast<uint32_t>(field_key >> 32));
  return mix(mix(of_field, static_cast<uint32_t>(step)), 0x706f6f6cu);
}

// Sample i of a batch is drawn from the i-th of `batch` strata of the pool: one that lies in an
// order in which neighbours are near one another is covered evenly, and read from front to back.
FIELDS_HD int64_t draw_from_pool(uint32_t key, int64_t i, int64_t batch, int64_t pool) {
  const uint64_t whole = static_cast<uint64_t>(pool);
  const uint64_t within = uint64_t(mix(key, static_cast<uint32_t>(i))) * whole >> 32;
  return static_cast<int64_t>((static_cast<uint64_t>(i) * whole + within) /
                              static_cast<uint64_t>(batch));
}

// What a fit of many steps is told.
struct PlaneFieldFit {
  int64_t batch;       // samples of a step
  int64_t first_step;  // counted from 1
  int64_t steps;
  int64_t total;  // steps of the whole fit, over which learning rates fall
  double lr_planes, lr_params;
  double final_share;  // of the learning rates at the end, reached geometrically
  double beta1, beta2, eps;

  double share_at(int64_t step) const {
    return std::pow(final_share, double(step) / double(total));
  }
};

}  // namespace fields
