// Many small fields at once on a GPU: their values, and their fit.
//
// A block takes tiles of 32 samples of one field, a sample across each warp; its warps share the
// rows of every layer. Activations stay in shared memory, in rows of 33 so that lanes that walk
// along samples meet different banks. Gradients are added with atomics: their last bits, unlike the
// CPU's, may differ from run to run. A step of all fields is this kernel and Adam.
#include "cuda/adam.cuh"

#include <torch/csrc/stable/library.h>

#include "cpu/checked_plane_fields.h"
#include "maths/loss.h"

namespace fields::cuda {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / 32;
constexpr int kSamples = 32;  // of a tile
constexpr int kRow = kSamples + 1;
constexpr int64_t kMostBlocks = 64;  // of one field

// Rows of a block's shared memory.
struct Rows {
  float* memory;
  PlaneFieldShape shape;

  __device__ float* row(int i) const { return memory + i * kRow; }
  __device__ float* input() const { return memory; }
  __device__ float* hidden(int l) const { return row(shape.mlp.inputs + l * shape.mlp.width); }
  __device__ float* output() const { return hidden(shape.mlp.depth); }
  // From here on for training alone.
  __device__ float* slope(int l) const { return row(values(shape) + l * shape.mlp.width); }
  __device__ float* output_slope() const { return slope(shape.mlp.depth); }
  __device__ float* gradient(int i) const {
    return output_slope() + (shape.mlp.outputs + i * widest(shape)) * kRow;
  }

  FIELDS_HD static int values(const PlaneFieldShape& shape) {
    return shape.mlp.inputs + shape.mlp.depth * shape.mlp.width + shape.mlp.outputs;
  }
  FIELDS_HD static int widest(const PlaneFieldShape& shape) {
    const int most =
        shape.mlp.width > shape.planes.channels ? shape.mlp.width : shape.planes.channels;
    return most > shape.mlp.outputs ? most : shape.mlp.outputs;
  }
  static size_t bytes(const PlaneFieldShape& shape, bool with_backward) {
    const int slopes = shape.mlp.depth * shape.mlp.width + shape.mlp.outputs;
    const int rows = values(shape) + (with_backward ? slopes + 2 * widest(shape) : 0);
    return size_t(rows) * kRow * sizeof(float);
  }
};

struct Thread {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
};

__device__ void locate(const PlaneFieldShape& shape, const float* x, PlaneAxis<float> (&axes)[3]) {
  for (int d = 0; d < 3; ++d) axes[d] = locate_on_axis(shape.planes.grid, x[d]);
}

// The rows that the MLP takes, of this lane's sample.
__device__ void encode(const Rows& rows, const float* planes, const float (&x)[3],
                       const PlaneAxis<float> (&axes)[3]) {
  const Thread at;
  const PlaneShape& shape = rows.shape.planes;
  for (int c = at.warp; c < shape.channels; c += kWarps) {
    float total = 0.0f;
#pragma unroll
    for (int p = 0; p < 3; ++p) {
      const AxisPair pair = plane_axes(3, p);
      const PlaneAxis<float>&a = axes[pair.a], &b = axes[pair.b];
      const float* plane = planes + p * shape.plane_size() + c;
      float texel[2][2];
      for (int j = 0; j < 2; ++j) {
        for (int i = 0; i < 2; ++i) texel[j][i] = plane[shape.texel(a.texel[i], b.texel[j])];
      }
      total += interpolate(texel, a, b).value;
    }
    rows.input()[c * kRow + at.lane] = total;
  }
  positional(rows.shape.octaves, x, [&](int row, float value) {
    if (row % kWarps == at.warp) rows.input()[(shape.channels + row) * kRow + at.lane] = value;
  });
}

// One layer: `out` rows of activations, and of their slopes unless that is null.
__device__ void layer(const MlpShape& mlp, int l, const float* params, const float* in, float* out,
                      float* slopes) {
  const Thread at;
  const int inputs = mlp.layer_inputs(l);
  const float* weights = params + mlp.weight_offset(l);
  const float scale = static_cast<float>(mlp.weight_scale(l));
  const bool last = l == mlp.depth;
  for (int o = at.warp; o < mlp.layer_outputs(l); o += kWarps) {
    float z = 0.0f;
    for (int k = 0; k < inputs; ++k) z = fma(weights[o * inputs + k], in[k * kRow + at.lane], z);
    z *= scale;
    if (mlp.bias) z += static_cast<float>(mlp.bias_scale(l)) * params[mlp.bias_offset(l) + o];
    float derivative;
    out[o * kRow + at.lane] = activate(last ? mlp.output : mlp.hidden, z, derivative,
                                       static_cast<float>(mlp.layer_omega(l)));
    if (slopes) slopes[o * kRow + at.lane] = derivative;
  }
}

__device__ void forward(const Rows& rows, const float* params, bool with_slopes) {
  const MlpShape& mlp = rows.shape.mlp;
  for (int l = 0; l <= mlp.depth; ++l) {
    __syncthreads();
    layer(mlp, l, params, l ? rows.hidden(l - 1) : rows.input(), rows.hidden(l),
          with_slopes ? rows.slope(l) : nullptr);
  }
  __syncthreads();
}

__global__ void values_kernel(PlaneFieldShape shape, const float* coords, int64_t samples,
                              const float* planes, const float* params, float* values) {
  extern __shared__ float memory[];
  const Rows rows{memory, shape};
  const Thread at;
  const int64_t field = blockIdx.y;
  const int outputs = shape.mlp.outputs;
  const int64_t tiles = (samples + kSamples - 1) / kSamples;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t n = tile * kSamples + at.lane;
    float x[3];
    for (int d = 0; d < 3; ++d) {
      const int64_t row = field * samples + (n < samples ? n : samples - 1);
      x[d] = min(max(coords[3 * row + d], 0.0f), 1.0f);
    }
    PlaneAxis<float> axes[3];
    locate(shape, x, axes);
    encode(rows, planes + field * shape.plane_numbers(), x, axes);
    forward(rows, params + field * shape.mlp.size(), false);
    for (int o = at.warp; n < samples && o < outputs; o += kWarps) {
      values[(field * samples + n) * outputs + o] = rows.output()[o * kRow + at.lane];
    }
    __syncthreads();
  }
}

// d loss / d parameters of one layer, from d loss / d z `grad`, added to `sums`.
__device__ void add_weights(const MlpShape& mlp, int l, const float* grad, const float* in,
                            float* sums) {
  const int inputs = mlp.layer_inputs(l), outputs = mlp.layer_outputs(l);
  float* weights = sums + mlp.weight_offset(l);
  for (int i = threadIdx.x; i < outputs * inputs; i += kThreads) {
    const float *g = grad + i / inputs * kRow, *v = in + i % inputs * kRow;
    float total = 0.0f;
    for (int s = 0; s < kSamples; ++s) total = fma(g[s], v[s], total);
    atomicAdd(weights + i, total * static_cast<float>(mlp.weight_scale(l)));
  }
  if (!mlp.bias) return;
  for (int o = threadIdx.x; o < outputs; o += kThreads) {
    float total = 0.0f;
    for (int s = 0; s < kSamples; ++s) total += grad[o * kRow + s];
    atomicAdd(sums + mlp.bias_offset(l) + o, total * static_cast<float>(mlp.bias_scale(l)));
  }
}

// From d loss / d z of the output, which stands in gradient(depth & 1), down to that of the
// planes' features; returns where those are.
__device__ const float* backward(const Rows& rows, const float* params, float* sums) {
  const Thread at;
  const MlpShape& mlp = rows.shape.mlp;
  for (int l = mlp.depth; l >= 0; --l) {
    __syncthreads();
    const float* grad = rows.gradient(l & 1);
    float* below = rows.gradient(~l & 1);
    add_weights(mlp, l, grad, l ? rows.hidden(l - 1) : rows.input(), sums);
    const int inputs = mlp.layer_inputs(l), wanted = l ? inputs : rows.shape.planes.channels;
    const float* weights = params + mlp.weight_offset(l);
    for (int k = at.warp; k < wanted; k += kWarps) {
      float total = 0.0f;
      for (int o = 0; o < mlp.layer_outputs(l); ++o) {
        total = fma(weights[o * inputs + k], grad[o * kRow + at.lane], total);
      }
      total *= static_cast<float>(mlp.weight_scale(l));
      if (l) total *= rows.slope(l - 1)[k * kRow + at.lane];
      below[k * kRow + at.lane] = total;
    }
  }
  __syncthreads();
  return rows.gradient(1);
}

__device__ void scatter(const PlaneShape& shape, const PlaneAxis<float> (&axes)[3],
                        const float* grad, float* grad_planes) {
  const Thread at;
  for (int c = at.warp; c < shape.channels; c += kWarps) {
    const float g = grad[c * kRow + at.lane];
#pragma unroll
    for (int p = 0; p < 3; ++p) {
      const AxisPair pair = plane_axes(3, p);
      const PlaneAxis<float>&a = axes[pair.a], &b = axes[pair.b];
      float* plane = grad_planes + p * shape.plane_size() + c;
      for (int j = 0; j < 2; ++j) {
        for (int i = 0; i < 2; ++i) {
          atomicAdd(plane + shape.texel(a.texel[i], b.texel[j]), a.weight[i] * b.weight[j] * g);
        }
      }
    }
  }
}

struct Gradients {
  float *planes, *params;
  float* losses;  // of this step, one for each field, `stride` apart
  int64_t stride;
};

__global__ void gradients_kernel(PlaneFieldShape shape, PlaneFieldTensors set, Loss loss,
                                 int64_t batch, int64_t step, Gradients out) {
  extern __shared__ float memory[];
  const Rows rows{memory, shape};
  const Thread at;
  const int64_t field = blockIdx.y;
  const int outputs = shape.mlp.outputs, row = 3 + outputs;
  const uint32_t key = pool_key(set.keys[field], step);
  const float* params = set.params + field * shape.mlp.size();
  const float scale = 1.0f / (float(batch) * float(outputs));
  const int64_t tiles = (batch + kSamples - 1) / kSamples;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t i = tile * kSamples + at.lane;
    const bool real = i < batch;
    const int64_t drawn = draw_from_pool(key, real ? i : batch - 1, batch, set.pool);
    const float* sample = set.samples + (field * set.pool + drawn) * row;
    float x[3];
    for (int d = 0; d < 3; ++d) x[d] = min(max(sample[d], 0.0f), 1.0f);
    PlaneAxis<float> axes[3];
    locate(shape, x, axes);
    encode(rows, set.planes + field * shape.plane_numbers(), x, axes);
    forward(rows, params, true);
    float* slopes = rows.gradient(shape.mlp.depth & 1);
    float total = 0.0f;
    for (int o = at.warp; o < outputs; o += kWarps) {
      float slope;
      const float term = loss_term(loss, rows.output()[o * kRow + at.lane], sample[3 + o], slope);
      total += real ? term * scale : 0.0f;
      const float by = rows.output_slope()[o * kRow + at.lane];
      slopes[o * kRow + at.lane] = real ? slope * scale * by : 0.0f;
    }
    for (int offset = 16; offset; offset /= 2) total += __shfl_xor_sync(~0u, total, offset);
    if (at.lane == 0) atomicAdd(out.losses + field * out.stride, total);
    const float* features = backward(rows, params, out.params + field * shape.mlp.size());
    scatter(shape.planes, axes, features, out.planes + field * shape.plane_numbers());
    __syncthreads();
  }
}

void require_memory(const Device& device, size_t bytes) {
  STD_TORCH_CHECK(bytes <= size_t(device.block_memory()),
                  "layers are too wide for this GPU: they need ", bytes, " bytes of a block's ",
                  device.block_memory());
}

dim3 blocks_of(int64_t fields, int64_t samples) {
  STD_TORCH_CHECK(fields <= 65535, "a call takes at most 65535 fields on a GPU");
  const int64_t tiles = ceil_div(samples, kSamples);
  return dim3(static_cast<unsigned>(std::min(tiles, kMostBlocks)), static_cast<unsigned>(fields));
}

Tensor plane_fields(Tensor coords, Tensor planes, Tensor params, int64_t octaves, int64_t width,
                    int64_t depth, int64_t channels, bool bias, int64_t activation,
                    int64_t output_activation, int64_t precision, double first_omega,
                    double omega) {
  const PlaneFieldShape shape =
      checked_plane_fields(planes, params, octaves, width, depth, channels, bias, activation,
                           output_activation, precision, first_omega, omega);
  STD_TORCH_CHECK(coords.dim() == 3 && coords.size(0) == planes.size(0) && coords.size(2) == 3,
                  "coords must be [F, N, 3]");
  const int64_t fields = coords.size(0), samples = coords.size(1);
  const Device device(coords);
  Tensor values = empty_of(coords, {fields, samples, channels});
  const size_t bytes = Rows::bytes(shape, false);
  require_memory(device, bytes);
  launch(device, values_kernel, blocks_of(fields, samples), kThreads, bytes, shape,
         read<float>(coords), samples, read<float>(planes), read<float>(params),
         write<float>(values));
  return values;
}

Tensor fit_plane_fields(Tensor samples, Tensor keys, Tensor planes, Tensor planes_m,
                        Tensor planes_v, Tensor params, Tensor params_m, Tensor params_v,
                        int64_t octaves, int64_t width, int64_t depth, int64_t channels, bool bias,
                        int64_t activation, int64_t output_activation, int64_t precision,
                        double first_omega, double omega, int64_t loss, int64_t batch,
                        int64_t first_step, int64_t steps, int64_t total, double lr_planes,
                        double lr_params, double final_share, double beta1, double beta2,
                        double eps) {
  const PlaneFieldShape shape =
      checked_plane_fields(planes, params, octaves, width, depth, channels, bias, activation,
                           output_activation, precision, first_omega, omega);
  const PlaneFieldFit fit{batch,     first_step,  steps, total, lr_planes,
                          lr_params, final_share, beta1, beta2, eps};
  const PlaneFieldTensors set = checked_plane_fit(shape, fit, samples, keys, planes, planes_m,
                                                  planes_v, params, params_m, params_v);
  const Device device(planes);
  const size_t bytes = Rows::bytes(shape, true);
  require_memory(device, bytes);
  Tensor losses = zeros_of(planes, {set.fields, steps});
  Tensor grad_planes = zeros_of(planes, {planes.numel()});
  Tensor grad_params = zeros_of(params, {params.numel()});
  Gradients out{write<float>(grad_planes), write<float>(grad_params), write<float>(losses), steps};
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t step = first_step + i;
    launch(device, gradients_kernel, blocks_of(set.fields, batch), kThreads, bytes, shape, set,
           static_cast<Loss>(loss), batch, step, out);
    const double share = fit.share_at(step);
    const auto adam = [&](double lr) { return make_adam(step, lr * share, beta1, beta2, eps, 0); };
    adam_range(device, adam(lr_planes), set.planes, out.planes, set.planes_m, set.planes_v,
               planes.numel(), false, true);
    adam_range(device, adam(lr_params), set.params, out.params, set.params_m, set.params_v,
               params.numel(), false, true);
    ++out.losses;
  }
  return losses;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("plane_fields", TORCH_BOX(&fields::cuda::plane_fields));
  m.impl("fit_plane_fields", TORCH_BOX(&fields::cuda::fit_plane_fields));
}
