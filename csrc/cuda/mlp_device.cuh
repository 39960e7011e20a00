// What a warp does with 16 rows of activations in shared memory: load them, multiply them by a
// layer's weights, activate. Forward and backward kernels are made of these.
#pragma once

#include "cuda/mlp_layout.h"
#include "cuda/mma.cuh"

namespace fields::cuda {

// c[n] += rows [16][16 blocks_k] times blocks (k, first + n) of the weights, stride blocks a row.
template <class M, int N>
__device__ __forceinline__ void multiply(const typename M::Element* rows, int row_stride,
                                         int blocks_k, const uint4* weights, int stride,
                                         float (&c)[N][2][4]) {
#pragma unroll 2
  for (int k = 0; k < blocks_k; ++k) {
    const auto a = M::load_a(rows + k * kBlock, row_stride);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      M::mma(c[n], a, M::load_weights(weights + (k * stride + n) * (32 * M::kVectors)));
    }
  }
}

// Calls body(row, column, c0, c1) for the pairs of neighbours in a fragment.
template <int N, class Body>
__device__ __forceinline__ void for_pairs(float (&c)[N][2][4], const Body& body) {
  const int row = lane_index() / 4, column = lane_index() % 4 * 2;
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      body(row, column + kBlock * n + 8 * h, c[n][h][0], c[n][h][1]);
      body(row + 8, column + kBlock * n + 8 * h, c[n][h][2], c[n][h][3]);
    }
  }
}

// Accumulators start at the bias, or at zero without one.
template <int N>
__device__ __forceinline__ void start(const float* bias, int outputs, float (&c)[N][2][4]) {
  for_pairs(c, [&](int, int column, float& x, float& y) {
    x = bias && column < outputs ? bias[column] : 0.0f;
    y = bias && column + 1 < outputs ? bias[column + 1] : 0.0f;
  });
}

// Out of line: sine and its kin would otherwise be copied into every place of a fragment.
// Returns value and slope.
static __device__ __noinline__ float2 activate_any(Activation activation, float z) {
  float2 result;
  result.x = activate(activation, z, result.y);
  return result;
}

__device__ __forceinline__ bool slope_from_value(Activation activation) {
  return activation == Activation::relu || activation == Activation::none;
}

// 16 rows through hidden layer l. `in` and `out` may be the same rows. `slope` receives the slopes
// of an activation that does not tell them by its value; it may be null.
template <class M, int N>
__device__ __forceinline__ void hidden_layer(const MlpLayout& layout, const float* params,
                                             const uint4* weights, int l,
                                             const typename M::Element* in, int in_stride,
                                             typename M::Element* out, int out_stride,
                                             typename M::Element* slope) {
  const MlpShape& shape = layout.shape;
  float c[N][2][4];
  start(shape.bias ? params + shape.bias_offset(l) : nullptr, shape.width, c);
  multiply<M, N>(in, in_stride, layout.blocks_in(l),
                 weights + layout.first_block(l) * (32 * M::kVectors), N, c);
  __syncwarp();
  if (shape.hidden == Activation::relu) {
    for_pairs(c, [&](int row, int column, float x, float y) {
      M::store_pair(out + row * out_stride + column, max(0.0f, x), max(0.0f, y));
    });
  } else if (shape.hidden == Activation::none) {
    for_pairs(c, [&](int row, int column, float x, float y) {
      M::store_pair(out + row * out_stride + column, x, y);
    });
  } else {
    for_pairs(c, [&](int row, int column, float x, float y) {
      const float2 a = activate_any(shape.hidden, x), b = activate_any(shape.hidden, y);
      M::store_pair(out + row * out_stride + column, a.x, b.x);
      if (slope) M::store_pair(slope + row * out_stride + column, a.y, b.y);
    });
  }
  __syncwarp();
}

// Rows [first, first + Rows) of x into a warp's rows; those behind the last sample become zero.
template <class M, int Rows>
__device__ __forceinline__ void load_rows(const Columns<const float>& x, int64_t first,
                                          typename M::Element* rows, int stride) {
  const int lane = lane_index();
  if (x.group == x.columns) {
    for (int r = 0; r < Rows; ++r) {
      const bool inside = first + r < x.samples;
      for (int c = lane; c < x.columns; c += 32) {
        rows[r * stride + c] = M::number(inside ? x.data[(first + r) * x.columns + c] : 0.0f);
      }
    }
    return;
  }
  const int shift = __ffs(x.group) - 1;     // log2 of the group
  const int run = shift + __ffs(Rows) - 1;  // log2 of what lies side by side
  const int64_t left = (x.samples - first) << shift;
#pragma unroll 4
  for (int i = lane; i < x.columns * Rows; i += 32) {
    const int level = i >> run, at = i - (level << run);
    const float value = at < left ? x.data[((level * x.samples + first) << shift) + at] : 0.0f;
    const int row = at >> shift, column = (level << shift) + (at & (x.group - 1));
    rows[row * stride + column] = M::number(value);
  }
}

// `count` 16-byte words, by the whole block.
__device__ __forceinline__ void copy_words(const uint4* from, int count, uint4* to) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) to[i] = from[i];
}
__device__ __forceinline__ void clear_words(uint4* at, int count) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) at[i] = uint4{0, 0, 0, 0};
}

}  // namespace fields::cuda
