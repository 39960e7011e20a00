#include "cuda/mlp_update.cuh"

namespace fields::cuda {
namespace {

constexpr int kColumns = 32;  // of the gradient, a block
constexpr int kSlices = 8;    // of the partial sums, side by side

// Where number q of a gradient in fragment order stands in the flat vector; -1 for padding.
__device__ int64_t flat_index(const MlpLayout& layout, int q) {
  const MlpShape& shape = layout.shape;
  int l = 0;
  if (q >= layout.blocks() * kBlockFloats) {
    while (l < shape.depth && q >= layout.bias_gradient(l + 1)) ++l;
    const int o = q - layout.bias_gradient(l);
    return o < shape.layer_outputs(l) ? shape.bias_offset(l) + o : -1;
  }
  const int block = q / kBlockFloats, at = q % kBlockFloats;
  while (l < shape.depth && block >= layout.first_block(l + 1)) ++l;
  const int local = block - layout.first_block(l), blocks_in = layout.blocks_in(l);
  const int h = at / 128, lane = at % 128 / 4, i = at % 4;
  const int out = local / blocks_in * kBlock + lane / 4 + 8 * (i / 2);
  const int in = local % blocks_in * kBlock + 8 * h + 2 * (lane % 4) + i % 2;
  if (out >= shape.layer_outputs(l) || in >= shape.layer_inputs(l)) return -1;
  return shape.weight_offset(l) + int64_t(out) * shape.layer_inputs(l) + in;
}

// Sums over the slices of a column; every thread of slice 0 gets its column's.
__device__ float sum_slices(float x) {
  __shared__ float slices[kSlices][kColumns];
  slices[threadIdx.y][threadIdx.x] = x;
  __syncthreads();
  float total = 0.0f;
  for (int s = 0; s < kSlices; ++s) total += slices[s][threadIdx.x];
  return total;
}

__global__ void reduce_kernel(const BackwardTask task, int blocks, const ParamsUpdate<float> update,
                              float* loss) {
  const int floats = task.layout.gradient_floats();
  if (blockIdx.x == gridDim.x - 1) {  // the loss
    float sum = 0.0f;
    if (loss) {
      const int first = threadIdx.y * kColumns + threadIdx.x;
      for (int b = first; b < blocks; b += kColumns * kSlices) sum += task.partial_loss[b];
    }
    float total = sum_slices(sum);
    if (threadIdx.y > 0 || !loss) return;
    for (int distance = 16; distance > 0; distance /= 2) {
      total += __shfl_down_sync(~0u, total, distance);
    }
    if (threadIdx.x == 0) *loss = total * task.loss_weight;
    return;
  }
  const int q = blockIdx.x * kColumns + threadIdx.x;
  float sum = 0.0f;
  if (q < floats) {
#pragma unroll 8
    for (int b = threadIdx.y; b < blocks; b += kSlices) {
      sum += task.partial[int64_t(b) * floats + q];
    }
  }
  const float gradient = sum_slices(sum) / task.scale.value();
  if (threadIdx.y > 0 || q >= floats) return;
  const int64_t p = flat_index(task.layout, q);
  if (p < 0) return;
  if (update.grad) update.grad[p] = gradient;
  if (update.param) {
    adam_update(update.adam, update.param[p], gradient, update.m[p], update.v[p]);
  }
}

__global__ void largest_kernel(const float* x, int64_t count, float* largest) {
  float most = 0.0f;
  for (int64_t i = thread_index(); i < count; i += int64_t(gridDim.x) * blockDim.x) {
    // As integers, the bits of numbers without a sign are ordered, with infinity and NaN on top.
    const uint32_t bits = __float_as_uint(x[i]) & 0x7fffffffu;
    if (bits > __float_as_uint(most)) most = __uint_as_float(bits);
  }
  const uint32_t bits = __reduce_max_sync(~0u, __float_as_uint(most));
  if (threadIdx.x % 32 == 0) atomicMax(reinterpret_cast<uint32_t*>(largest), bits);
}

}  // namespace

void reduce_gradients(const Device& device, const BackwardTask& task, int blocks,
                      const ParamsUpdate<float>& update, float* loss) {
  const auto columns = ceil_div(task.layout.gradient_floats(), kColumns);
  launch(device, reduce_kernel, static_cast<unsigned>(columns + 1), dim3(kColumns, kSlices), 0,
         task, blocks, update, loss);
}

void find_largest(const Device& device, const float* x, int64_t count, float* largest) {
  const auto blocks = std::min<int64_t>(ceil_div(count, 256), 4 * device.multiprocessors());
  launch(device, largest_kernel, static_cast<unsigned>(blocks), 256, 0, x, count, largest);
}

}  // namespace fields::cuda
