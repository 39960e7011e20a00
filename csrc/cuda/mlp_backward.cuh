// The fused backward: forward again, d loss / d values, gradients of all parameters, d loss / d x.
//
// A block takes 16 rows a warp at a time; all activations of the tile stay in shared memory, act[0]
// the inputs, act[l + 1] the output of layer l. Going down, act[l + 1] is replaced by
// d loss / d (pre-activation of layer l). Each warp multiplies its own rows; the gradient of a
// weight sums over all rows of the block, so there the warps share the blocks of the matrix and
// meet at a barrier. Every sum has a fixed order: results depend on the number of multiprocessors
// but not on timing.
#pragma once

#include "cuda/mlp_device.cuh"
#include "cuda/mlp_fused.cuh"

namespace fields::cuda {

// sums += grad^T in over all rows: block (o, i) is a 16 x 16 part of the layer's gradient. A warp
// takes two neighbours at a time.
template <class M>
__device__ __forceinline__ void add_weight_gradient(const typename M::Element* grad,
                                                    int grad_stride, const typename M::Element* in,
                                                    int in_stride, int blocks_out, int blocks_in,
                                                    float4* sums) {
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32, rows = warps * kBlock;
  const int pairs = (blocks_in + 1) / 2;
  for (int unit = warp; unit < blocks_out * pairs; unit += warps) {
    const int o = unit / pairs, i = 2 * (unit - o * pairs);
    const bool two = i + 1 < blocks_in;
    float4* at = sums + (o * blocks_in + i) * (kBlockFloats / 4) + lane_index();
    float c[2][2][4] = {};
#pragma unroll 2
    for (int k = 0; k < rows; k += kBlock) {
      const auto a = M::load_a_transposed(grad + k * grad_stride + o * kBlock, grad_stride);
      M::mma(c[0], a, M::load_b(in + k * in_stride + i * kBlock, in_stride));
      if (two) M::mma(c[1], a, M::load_b(in + k * in_stride + (i + 1) * kBlock, in_stride));
    }
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      if (part >= 2 && !two) break;
      float4 sum = at[part * 32];
      const float (&more)[4] = c[part / 2][part % 2];
      sum = {sum.x + more[0], sum.y + more[1], sum.z + more[2], sum.w + more[3]};
      at[part * 32] = sum;
    }
  }
}

// Column sums of grad, a thread a column.
template <class M>
__device__ __forceinline__ void add_bias_gradient(const typename M::Element* grad, int stride,
                                                  int columns, float* sums) {
  const int rows = blockDim.x / 2;
  for (int c = 2 * threadIdx.x; c < columns; c += 2 * blockDim.x) {
    float2 total = {0.0f, 0.0f};
#pragma unroll 8
    for (int r = 0; r < rows; ++r) {
      const float2 more = M::load_pair(grad + r * stride + c);
      total.x += more.x;
      total.y += more.y;
    }
    sums[c] += total.x;
    sums[c + 1] += total.y;
  }
}

// d loss / d pre-activation of one value, times the gradient scale; adds to the loss.
__device__ __forceinline__ float output_gradient(const BackwardTask& task, float scale, float z,
                                                 int64_t n, int column, float& loss) {
  const MlpShape& shape = task.layout.shape;
  if (n >= task.x.samples || column >= shape.outputs) return 0.0f;
  float value = z, slope = 1.0f;
  if (shape.output != Activation::none) {
    const float2 activated = activate_any(shape.output, z);
    value = activated.x;
    slope = activated.y;
  }
  const float reference = task.reference[n * shape.outputs + column];
  if (task.loss == Loss::given) return reference * scale * slope;
  float gradient;
  loss += loss_term(task.loss, value, reference, gradient);
  return gradient * (task.loss_weight * scale) * slope;
}

// The sum over the block, in a fixed order; `scratch` holds a float a warp.
__device__ __forceinline__ float block_sum(float x, float* scratch) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    x += __shfl_down_sync(~0u, x, distance);
  }
  if (lane_index() == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < int(blockDim.x / 32); ++w) total += scratch[w];
  return total;
}

template <class M, int N>
__global__ void __launch_bounds__(256)
    backward_kernel(const BackwardTask task, const bool shared_sums, const bool shared_weights) {
  using E = typename M::Element;
  extern __shared__ uint4 shared[];
  const MlpLayout& layout = task.layout;
  const MlpShape& shape = layout.shape;
  const int depth = shape.depth;
  const int warp = threadIdx.x / 32, rows = blockDim.x / 2;
  const int x_stride = layout.input_blocks * kBlock + kPadding;
  const int y_stride = layout.output_blocks * kBlock + kPadding;
  constexpr int kStride = N * kBlock + kPadding;
  const bool slopes = !slope_from_value(shape.hidden);

  // Shared memory: act[0], act[1] .. act[depth], act[depth + 1], slopes, sums, weights, loss.
  E* x = reinterpret_cast<E*>(shared);
  E* hidden = x + rows * x_stride;
  E* y = hidden + depth * rows * kStride;
  E* slope = y + rows * y_stride;
  E* end = slope + (slopes ? depth * rows * kStride : 0);
  uint4* free = reinterpret_cast<uint4*>(end);
  const auto act = [&](int i) {
    return i == 0 ? x : i == depth + 1 ? y : hidden + (i - 1) * rows * kStride;
  };
  const auto stride = [&](int i) {
    return i == 0 ? x_stride : i == depth + 1 ? y_stride : kStride;
  };
  float* partial = task.partial + int64_t(blockIdx.x) * layout.gradient_floats();
  float* sums = partial;
  const int sum_words = layout.gradient_floats() / 4;
  if (shared_sums) {
    sums = reinterpret_cast<float*>(free);
    free += sum_words;
  }
  const uint4* weights = task.weights;
  if (shared_weights) {
    const int words = 2 * layout.blocks() * 32 * M::kVectors;
    copy_words(weights, words, free);
    weights = free;
    free += words;
  }
  clear_words(shared, int(reinterpret_cast<uint4*>(end) - shared));
  clear_words(reinterpret_cast<uint4*>(sums), sum_words);
  __syncthreads();

  const uint4* backward_weights = weights + layout.blocks() * (32 * M::kVectors);
  const float* output_bias = shape.bias ? task.params + shape.bias_offset(depth) : nullptr;
  const float scale = task.scale.value();
  const int own = warp * kBlock;  // first of this warp's rows
  float loss = 0.0f;
  for (int64_t tile = int64_t(blockIdx.x) * rows; tile < task.x.samples;
       tile += int64_t(gridDim.x) * rows) {
    const int64_t first = tile + own;
    load_rows<M, kBlock>(task.x, first, x + own * x_stride, x_stride);
    __syncwarp();
    for (int l = 0; l < depth; ++l) {
      hidden_layer<M, N>(layout, task.params, weights, l, act(l) + own * stride(l), stride(l),
                         act(l + 1) + own * kStride, kStride,
                         slopes ? slope + (l * rows + own) * kStride : nullptr);
    }
    for (int o = 0; o < layout.output_blocks; ++o) {
      float c[1][2][4];
      start(output_bias ? output_bias + o * kBlock : nullptr, shape.outputs - o * kBlock, c);
      multiply<M, 1>(act(depth) + own * stride(depth), stride(depth), layout.blocks_in(depth),
                     weights + (layout.first_block(depth) + o) * (32 * M::kVectors),
                     layout.output_blocks, c);
      for_pairs(c, [&](int row, int column, float z0, float z1) {
        column += o * kBlock;
        M::store_pair(y + (own + row) * y_stride + column,
                      output_gradient(task, scale, z0, first + row, column, loss),
                      output_gradient(task, scale, z1, first + row, column + 1, loss));
      });
    }
    for (int l = depth; l >= 0; --l) {
      const E* grad = act(l + 1);
      const int grad_stride = stride(l + 1);
      __syncthreads();
      add_weight_gradient<M>(
          grad, grad_stride, act(l), stride(l), layout.blocks_out(l), layout.blocks_in(l),
          reinterpret_cast<float4*>(sums) + layout.first_block(l) * (kBlockFloats / 4));
      if (shape.bias) {
        add_bias_gradient<M>(grad, grad_stride, layout.blocks_out(l) * kBlock,
                             sums + layout.bias_gradient(l));
      }
      __syncthreads();
      const uint4* layer = backward_weights + layout.first_block(l) * (32 * M::kVectors);
      grad += own * grad_stride;
      if (l > 0) {
        float c[N][2][4] = {};
        multiply<M, N>(grad, grad_stride, layout.blocks_out(l), layer, N, c);
        E* below = act(l) + own * kStride;
        const E* kept = slope + ((l - 1) * rows + own) * kStride;
        for_pairs(c, [&](int row, int column, float g0, float g1) {
          const int at = row * kStride + column;
          if (slopes) {
            const float2 s = M::load_pair(kept + at);
            M::store_pair(below + at, g0 * s.x, g1 * s.y);
          } else if (shape.hidden == Activation::relu) {
            const float2 value = M::load_pair(below + at);
            M::store_pair(below + at, value.x > 0.0f ? g0 : 0.0f, value.y > 0.0f ? g1 : 0.0f);
          } else {
            M::store_pair(below + at, g0, g1);
          }
        });
      } else if (task.grad_x.data) {
        const float unscale = 1.0f / scale;
        const Columns<float>& out = task.grad_x;
        for (int i = 0; i < layout.input_blocks; ++i) {
          float c[1][2][4] = {};
          multiply<M, 1>(grad, grad_stride, layout.blocks_out(0), layer + i * (32 * M::kVectors),
                         layout.input_blocks, c);
          for_pairs(c, [&](int row, int column, float g0, float g1) {
            column += i * kBlock;
            const int64_t n = first + row;
            if (n >= out.samples || column >= out.columns) return;
            float* at = out.data + out.index(n, column);
            if (out.group % 2 == 0) {
              *reinterpret_cast<float2*>(at) = {g0 * unscale, g1 * unscale};
            } else {
              *at = g0 * unscale;
              if (column + 1 < out.columns) out.data[out.index(n, column + 1)] = g1 * unscale;
            }
          });
        }
      }
    }
  }
  __syncthreads();
  const float total = block_sum(loss, reinterpret_cast<float*>(free));
  if (threadIdx.x == 0 && task.partial_loss) task.partial_loss[blockIdx.x] = total;
  if (shared_sums) {
    copy_words(reinterpret_cast<const uint4*>(sums), sum_words, reinterpret_cast<uint4*>(partial));
  }
}

template <class M>
void backward(const Device& device, const BackwardTask& task, const BackwardPlan& plan) {
  const auto run = [&](auto kernel) {
    launch(device, kernel, plan.blocks, 32 * plan.warps, plan.bytes, task, plan.shared_sums,
           plan.shared_weights);
  };
  switch (task.layout.hidden_blocks) {
    case 2:
      return run(backward_kernel<M, 2>);
    case 4:
      return run(backward_kernel<M, 4>);
    default:
      return run(backward_kernel<M, 8>);
  }
}

}  // namespace fields::cuda
