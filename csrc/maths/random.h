// Counter-based random numbers: a value depends on (seed, step, index) and on nothing else, so that
// results do not depend on how samples are dealt to threads.
#pragma once

#include "lane.h"

namespace fields {

// A 32-bit mixer with full avalanche (two multiply-xorshift rounds).
FIELDS_HD uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0x735a2d97u;
  return x ^ (x >> 15);
}

FIELDS_HD uint32_t mix(uint32_t seed, uint32_t index) { return mix(mix(seed) + index); }

}  // namespace fields
