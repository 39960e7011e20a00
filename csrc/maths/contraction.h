// All of space into the unit cube (Barron et al. 2022, "Mip-NeRF 360", eq. 10), with the largest
// coordinate in place of Euclid's norm, which would leave the corners of the cube unused:
//   y = 2 x - 1, r = max |y_d|;   f(y) = y where r <= 1, (2 - 1 / r) y / r elsewhere;   f / 4 + 1/2
// So the cube [0, 1]^3 around the cameras becomes [1/4, 3/4]^3, and infinity the faces.
#pragma once

#include "lane.h"

namespace fields {

FIELDS_HD void contract(float (&x)[3]) {
  float r = 1.0f;
  for (int d = 0; d < 3; ++d) {
    x[d] = x[d] * 2.0f - 1.0f;
    r = max(max(x[d], -x[d]), r);
  }
  const float scale = 0.25f * (2.0f - 1.0f / r) / r;
  for (int d = 0; d < 3; ++d) x[d] = fma(x[d], scale, 0.5f);
}

}  // namespace fields
