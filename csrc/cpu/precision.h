// Which TileMlp serves a dtype and a precision.
#pragma once

#include "cpu/tensors.h"
#include "cpu/tile_mlp.h"
#if defined(__AVX512BF16__)
#include "cpu/tile_mlp_bf16.h"
#endif

namespace fields {

template <class Mlp>
struct MlpTag {
  using type = Mlp;
};

// Calls body(MlpTag<...>) for float32 tensors and the precision asked for: 0 float32, 1 bf16.
template <class Body>
void with_float_mlp(int64_t precision, const Body& body) {
  if (precision == 0) {
    body(MlpTag<TileMlp<Pack>>{});
    return;
  }
  STD_TORCH_CHECK(precision == 1, "fp16 arithmetic is for CUDA");
#if defined(__AVX512BF16__)
  body(MlpTag<TileMlpBf16>{});
#else
  STD_TORCH_CHECK(false, "this instruction set has no bf16 arithmetic");
#endif
}

// The same for float32 or float64 tensors.
template <class Body>
void with_mlp(const Tensor& like, int64_t precision, const Body& body) {
  if (is_double(like)) {
    body(MlpTag<TileMlp<double>>{});
  } else {
    with_float_mlp(precision, body);
  }
}

}  // namespace fields
