// One sample on one level: coordinates, rows of the table, interpolation.
#pragma once

#include "maths/hash_grid.h"

namespace fields::cuda {

template <class S, int F>
struct alignas(sizeof(S) * F < 16 ? sizeof(S) * F : 16) Row {
  S value[F];
};

template <class S, int F>
__device__ __forceinline__ Row<S, F> load_row(const S* address) {
  return *reinterpret_cast<const Row<S, F>*>(address);
}
template <class S, int F>
__device__ __forceinline__ void store_row(S* address, const Row<S, F>& row) {
  *reinterpret_cast<Row<S, F>*>(address) = row;
}

#if __CUDA_ARCH__ >= 900
constexpr bool kVectorAtomics = true;
__device__ __forceinline__ void add_two(float* at, float a, float b) {
  atomicAdd(reinterpret_cast<float2*>(at), make_float2(a, b));
}
__device__ __forceinline__ void add_four(float* at, const float* v) {
  atomicAdd(reinterpret_cast<float4*>(at), make_float4(v[0], v[1], v[2], v[3]));
}
#else
constexpr bool kVectorAtomics = false;
__device__ void add_two(float*, float, float);
__device__ void add_four(float*, const float*);
#endif

// *address += row. One instruction adds up to four floats from sm_90 on.
template <class S, int F>
__device__ __forceinline__ void add_row(S* address, const Row<S, F>& row) {
  if constexpr (kVectorAtomics && sizeof(S) == 4 && F == 2) {
    add_two(address, row.value[0], row.value[1]);
  } else if constexpr (kVectorAtomics && sizeof(S) == 4 && F % 4 == 0) {
#pragma unroll
    for (int f = 0; f < F; f += 4) add_four(address + f, row.value + f);
  } else {
#pragma unroll
    for (int f = 0; f < F; ++f) atomicAdd(address + f, row.value[f]);
  }
}

// Clamped to the unit cube; NaN becomes 0: rows stay in bounds whatever the caller passes.
template <class S, int D>
__device__ __forceinline__ void load_coords(const S* coords, int64_t sample, S (&x)[D]) {
#pragma unroll
  for (int d = 0; d < D; ++d) x[d] = min(max(coords[sample * D + d], S(0)), S(1));
}

// The level's features at x; `table` is its first row.
template <int F, class S, int D>
__device__ __forceinline__ Row<S, F> interpolate(const GridLevel& level, bool smoothstep,
                                                 const S* table, const S (&x)[D]) {
  const auto cell = locate<0>(level, smoothstep, x);
  Row<S, F> sum = {};
#pragma unroll
  for (int c = 0; c < 1 << D; ++c) {
    const auto row = load_row<S, F>(table + size_t(corner_row(level, cell, c)) * F);
    const S weight = corner_weight(cell, c);
#pragma unroll
    for (int f = 0; f < F; ++f) sum.value[f] = fma(weight, row.value[f], sum.value[f]);
  }
  return sum;
}

}  // namespace fields::cuda
