// A modulation read off the shapes of its tensors, with the checks without which a kernel would
// crash.
#pragma once

#include "cpu/tensors.h"
#include "maths/modulation.h"

namespace fields {

inline ModulationGrid checked_knots(const Tensor& gamma, int64_t first_axis, int64_t dim) {
  STD_TORCH_CHECK(dim >= 1 && dim <= kMaxModulationDims, "positions must have 1 to 3 dimensions");
  STD_TORCH_CHECK(gamma.dim() == first_axis + dim + 1, "grids must have an axis a position");
  ModulationGrid grid{static_cast<int>(dim), {}};
  for (int d = 0; d < grid.dim; ++d) {
    const int64_t size = gamma.size(first_axis + d);
    STD_TORCH_CHECK(size >= 2 && size <= 65536, "an axis must have 2 to 65,536 knots");
    grid.size[d] = static_cast<int>(size);
  }
  STD_TORCH_CHECK(grid.knots() < int64_t(1) << 31, "a grid must have less than 2^31 knots");
  return grid;
}

inline Modulation checked_modulation(const Tensor& h, const Tensor& positions, const Tensor& gamma,
                                     const Tensor& beta, int64_t group, int64_t activation,
                                     double omega) {
  STD_TORCH_CHECK(h.dim() == 2 && positions.dim() == 2, "h and positions must be matrices");
  STD_TORCH_CHECK(positions.size(0) == h.size(0), "h and positions must have as many rows");
  STD_TORCH_CHECK(gamma.dim() >= 1 && beta.dim() == gamma.dim(), "gamma and beta must be alike");
  for (int64_t d = 0; d < gamma.dim(); ++d) {
    STD_TORCH_CHECK(beta.size(d) == gamma.size(d), "gamma and beta must be alike");
  }
  STD_TORCH_CHECK(group >= 0 && (group == 0 || h.size(0) % group == 0),
                  "rows of h must be whole groups");
  const Modulation m{checked_knots(gamma, 0, positions.size(1)),    static_cast<int>(h.size(1)),
                     static_cast<int>(gamma.size(gamma.dim() - 1)), group,
                     static_cast<Activation>(activation),           omega};
  STD_TORCH_CHECK(m.channels == 1 || m.channels == m.features,
                  "a knot must have one value, or one a feature");
  return m;
}

}  // namespace fields
