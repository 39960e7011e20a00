// What the kernels need to know of planes, from tensors that fit each other.
#pragma once

#include "cpu/tensors.h"
#include "maths/triplane.h"

namespace fields {

inline PlaneShape checked_planes(const Tensor& coords, const Tensor& planes, bool sum,
                                 bool align_corners, bool zero_padding) {
  STD_TORCH_CHECK(coords.dim() == 2 && planes.dim() == 4,
                  "coords and planes must be [N, D], [P, R, R, C]");
  STD_TORCH_CHECK(coords.scalar_type() == planes.scalar_type(),
                  "coords and planes differ in dtype");
  const int64_t dim = coords.size(1), resolution = planes.size(1), channels = planes.size(3);
  STD_TORCH_CHECK(dim >= 2 && dim <= 4, "planes have 2 to 4 dimensions");
  STD_TORCH_CHECK(planes.size(0) == num_planes(int(dim)), "planes must be ", num_planes(int(dim)));
  STD_TORCH_CHECK(planes.size(2) == resolution, "planes must be square");
  STD_TORCH_CHECK(resolution >= 1 && resolution <= kMaxPlaneResolution, "resolution out of range");
  STD_TORCH_CHECK(channels >= 1 && channels <= kMaxPlaneChannels, "channels out of range");
  return {make_plane_grid(resolution, align_corners, zero_padding), static_cast<int>(dim),
          static_cast<int>(channels), sum};
}

// Calls body(zero, dim) with a zero of the tensor's dtype and its dimensions as a constant.
template <class Body>
void with_type(const Tensor& coords, const Body& body) {
  const auto with_dim = [&](auto zero) {
    switch (coords.size(1)) {
      case 2:
        return body(zero, std::integral_constant<int, 2>{});
      case 3:
        return body(zero, std::integral_constant<int, 3>{});
      default:
        return body(zero, std::integral_constant<int, 4>{});
    }
  };
  is_double(coords) ? with_dim(0.0) : with_dim(0.0f);
}

}  // namespace fields
