// All of space into the unit cube (Barron et al. 2022, "Mip-NeRF 360", eq. 10), with the largest
// coordinate in place of Euclid's norm, which would leave the corners of the cube unused:
//   y = 2 x - 1, r = max |y_d|;   f(y) = y where r <= 1, (2 - 1 / r) y / r elsewhere;   f / 4 + 1/2
// So the cube [0, 1]^3 around the cameras becomes [1/4, 3/4]^3, and infinity the faces.
#pragma once

#include "lane.h"

namespace fields {

template <class V>
FIELDS_HD void contract_to_cube(V (&x)[3]) {
  using S = ScalarOf<V>;
  const V one = splat<V>(S(1));
  V r = one;
  for (int d = 0; d < 3; ++d) {
    x[d] = fma(x[d], splat<V>(S(2)), -one);
    r = max(max(x[d], -x[d]), r);
  }
  const V inverse = one / r;
  const V scale = splat<V>(S(0.25)) * (splat<V>(S(2)) - inverse) * inverse;
  for (int d = 0; d < 3; ++d) x[d] = fma(x[d], scale, splat<V>(S(0.5)));
}

}  // namespace fields
