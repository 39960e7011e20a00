// 16 x 16 x 16 products on tensor cores, with float accumulation, in three arithmetics.
//
// Fp16 and Bf16 are one rounding of each factor. Float32 splits each factor into two TF32 numbers
// and adds three products ("3xTF32"), which keeps about 21 of float's 24 bits.
//
// A fragment is what one lane holds of a 16 x 16 block. With g = lane / 4 and t = lane % 4, an
// accumulator c[h][i] is at row g + 8 (i / 2), column 8 h + 2 t + i % 2. Weights are packed in the
// order of fragments by MlpWeights (mlp_weights.cuh), so that a lane reads whole 16-byte words.
// Activations lie in shared memory, row by row; rows are 16-byte aligned and padded by 8 numbers
// (kPadding), which makes all reads below free of bank conflicts.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace fields::cuda {

constexpr int kPadding = 8;

__device__ __forceinline__ int lane_index() { return threadIdx.x % 32; }

template <class Number>
struct HalfPrecision {
  using Element = Number;
  static constexpr int kVectors = 1;  // 16-byte words that a lane holds of a block of weights
  struct A {
    uint32_t r[4];
  };
  using B = A;

  // Four 8 x 8 matrices; lane i gives the address of row i % 8 of matrix i / 8.
  template <bool Transposed>
  static __device__ __forceinline__ A load_matrices(const Element* row) {
    const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    A a;
    if constexpr (Transposed) {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(a.r[0]), "=r"(a.r[1]), "=r"(a.r[2]), "=r"(a.r[3])
                   : "r"(at));
    } else {
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(a.r[0]), "=r"(a.r[1]), "=r"(a.r[2]), "=r"(a.r[3])
                   : "r"(at));
    }
    return a;
  }
  // A[m][k] = rows[m][k]
  static __device__ __forceinline__ A load_a(const Element* rows, int stride) {
    const int lane = lane_index();
    return load_matrices<false>(rows + (lane % 16) * stride + (lane / 16) * 8);
  }
  // A[m][k] = rows[k][m]
  static __device__ __forceinline__ A load_a_transposed(const Element* rows, int stride) {
    const int lane = lane_index();
    return load_matrices<true>(rows + (lane % 8 + lane / 16 * 8) * stride + (lane / 8 % 2) * 8);
  }
  // B[k][n] = rows[k][n]
  static __device__ __forceinline__ B load_b(const Element* rows, int stride) {
    const int lane = lane_index();
    return load_matrices<true>(rows + (lane % 16) * stride + (lane / 16) * 8);
  }
  static __device__ __forceinline__ B load_weights(const uint4* block) {
    const uint4 word = block[lane_index()];
    return {{word.x, word.y, word.z, word.w}};
  }
  // The lane's words of a block of weights; fetch(k, n) gives its numbers.
  template <class Fetch>
  static __device__ __forceinline__ void pack(const Fetch& fetch, uint4* block) {
    const int g = lane_index() / 4, t = lane_index() % 4;
    block[lane_index()] = {pair(fetch(2 * t, g), fetch(2 * t + 1, g)),
                           pair(fetch(2 * t + 8, g), fetch(2 * t + 9, g)),
                           pair(fetch(2 * t, g + 8), fetch(2 * t + 1, g + 8)),
                           pair(fetch(2 * t + 8, g + 8), fetch(2 * t + 9, g + 8))};
  }
  static __device__ __forceinline__ void store_pair(Element* at, float x, float y) {
    *reinterpret_cast<uint32_t*>(at) = pair(x, y);
  }
  static __device__ __forceinline__ uint32_t pair(float x, float y);
  static __device__ __forceinline__ Element number(float x);
  static __device__ __forceinline__ float2 load_pair(const Element* at);
  static __device__ __forceinline__ void mma(float (&c)[4], const A& a, uint32_t b0, uint32_t b1);
  static __device__ __forceinline__ void mma(float (&c)[2][4], const A& a, const B& b) {
    mma(c[0], a, b.r[0], b.r[1]);
    mma(c[1], a, b.r[2], b.r[3]);
  }
};

using Fp16 = HalfPrecision<__half>;
using Bf16 = HalfPrecision<__nv_bfloat16>;

#define FIELDS_MMA_16(TYPE)                                  \
  asm("mma.sync.aligned.m16n8k16.row.col.f32." TYPE "." TYPE \
      ".f32 {%0, %1, %2, %3}, "                              \
      "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"        \
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])       \
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b0), "r"(b1))

template <>
__device__ __forceinline__ void Fp16::mma(float (&c)[4], const A& a, uint32_t b0, uint32_t b1) {
  FIELDS_MMA_16("f16");
}
template <>
__device__ __forceinline__ void Bf16::mma(float (&c)[4], const A& a, uint32_t b0, uint32_t b1) {
  FIELDS_MMA_16("bf16");
}
#undef FIELDS_MMA_16

template <>
__device__ __forceinline__ __half Fp16::number(float x) {
  return __float2half_rn(x);
}
template <>
__device__ __forceinline__ __nv_bfloat16 Bf16::number(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ uint32_t Fp16::pair(float x, float y) {
  const __half2 two = __floats2half2_rn(x, y);
  return *reinterpret_cast<const uint32_t*>(&two);
}
template <>
__device__ __forceinline__ uint32_t Bf16::pair(float x, float y) {
  const __nv_bfloat162 two = __floats2bfloat162_rn(x, y);
  return *reinterpret_cast<const uint32_t*>(&two);
}
template <>
__device__ __forceinline__ float2 Fp16::load_pair(const __half* at) {
  return __half22float2(*reinterpret_cast<const __half2*>(at));
}
template <>
__device__ __forceinline__ float2 Bf16::load_pair(const __nv_bfloat16* at) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(at));
}

struct Float32 {
  using Element = float;
  static constexpr int kVectors = 2;
  // Two steps of eight along k: step s holds [4 s .. 4 s + 3]. Where rows are read along k, k = t
  // and t + 4 of the instruction stand for k = 2 t and 2 t + 1 of the block, in A and B alike.
  struct A {
    uint32_t high[8], low[8];
  };
  using B = A;

  // high: x rounded to TF32; low: the rest, of which the tensor core reads the upper bits.
  static __device__ __forceinline__ void split(float x, uint32_t& high, uint32_t& low) {
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(high) : "f"(x));
    low = __float_as_uint(x - __uint_as_float(high));
  }
  static __device__ __forceinline__ A load_a(const float* rows, int stride) {
    const float* at = rows + (lane_index() / 4) * stride + 2 * (lane_index() % 4);
    A a;
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const float2 upper = *reinterpret_cast<const float2*>(at + 8 * s);
      const float2 lower = *reinterpret_cast<const float2*>(at + 8 * s + 8 * stride);
      split(upper.x, a.high[4 * s], a.low[4 * s]);
      split(lower.x, a.high[4 * s + 1], a.low[4 * s + 1]);
      split(upper.y, a.high[4 * s + 2], a.low[4 * s + 2]);
      split(lower.y, a.high[4 * s + 3], a.low[4 * s + 3]);
    }
    return a;
  }
  static __device__ __forceinline__ A load_a_transposed(const float* rows, int stride) {
    const float* at = rows + (lane_index() % 4) * stride + lane_index() / 4;
    A a;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      split(at[(i / 2) * 4 * stride + (i % 2) * 8], a.high[i], a.low[i]);
    }
    return a;
  }
  // b[4 s + 2 h + i]: k = 8 s + 4 i + t, column 8 h + g
  static __device__ __forceinline__ B load_b(const float* rows, int stride) {
    const float* at = rows + (lane_index() % 4) * stride + lane_index() / 4;
    B b;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      split(at[(8 * (i / 4) + 4 * (i % 2)) * stride + (i / 2 % 2) * 8], b.high[i], b.low[i]);
    }
    return b;
  }
  static __device__ __forceinline__ B load_weights(const uint4* block) {
    B b;
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const uint4 word = block[32 * s + lane_index()];
      split(__uint_as_float(word.x), b.high[4 * s], b.low[4 * s]);
      split(__uint_as_float(word.y), b.high[4 * s + 1], b.low[4 * s + 1]);
      split(__uint_as_float(word.z), b.high[4 * s + 2], b.low[4 * s + 2]);
      split(__uint_as_float(word.w), b.high[4 * s + 3], b.low[4 * s + 3]);
    }
    return b;
  }
  template <class Fetch>
  static __device__ __forceinline__ void pack(const Fetch& fetch, uint4* block) {
    const int g = lane_index() / 4, t = lane_index() % 4;
#pragma unroll
    for (int s = 0; s < 2; ++s) {
      const int k = 8 * s + 2 * t;
      block[32 * s + lane_index()] = {
          __float_as_uint(fetch(k, g)), __float_as_uint(fetch(k + 1, g)),
          __float_as_uint(fetch(k, g + 8)), __float_as_uint(fetch(k + 1, g + 8))};
    }
  }
  static __device__ __forceinline__ float number(float x) { return x; }
  static __device__ __forceinline__ void store_pair(float* at, float x, float y) {
    *reinterpret_cast<float2*>(at) = make_float2(x, y);
  }
  static __device__ __forceinline__ float2 load_pair(const float* at) {
    return *reinterpret_cast<const float2*>(at);
  }
  static __device__ __forceinline__ void mma(float (&c)[4], const uint32_t* a, uint32_t b0,
                                             uint32_t b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
  static __device__ __forceinline__ void mma(float (&c)[2][4], const A& a, const B& b) {
#pragma unroll
    for (int s = 0; s < 2; ++s) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const int i = 4 * s + 2 * h;
        mma(c[h], a.low + 4 * s, b.high[i], b.high[i + 1]);
        mma(c[h], a.high + 4 * s, b.low[i], b.low[i + 1]);
        mma(c[h], a.high + 4 * s, b.high[i], b.high[i + 1]);
      }
    }
  }
};

}  // namespace fields::cuda
