// Ops of hash grid + Gaussian kernels: the two one after the other, with features in memory.
#include <torch/csrc/stable/library.h>

#include <algorithm>

#include "cuda/adam.cuh"
#include "cuda/grid_kernels.cuh"
#include "cuda/grid_values.cuh"
#include "cuda/rbf.cuh"
#include "maths/loss.h"

namespace fields::cuda {
namespace {

// Samples whose features are in memory at once, where only values are asked for.
constexpr int64_t kChunk = int64_t(1) << 18;

// Values become d loss / d values; one block sums the loss.
__global__ void loss_kernel(Loss loss, const float* targets, float weight, int64_t size,
                            float* values, float* mean) {
  __shared__ float parts[1024];
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < size; i += 1024) {
    float slope;
    sum += loss_term(loss, values[i], targets[i], slope);
    values[i] = slope * weight;
  }
  parts[threadIdx.x] = sum;
  for (int distance = 512; distance > 0; distance /= 2) {
    __syncthreads();
    if (threadIdx.x < distance) parts[threadIdx.x] += parts[threadIdx.x + distance];
  }
  if (threadIdx.x == 0) *mean = parts[0] * weight;
}

// A grid with kernels behind it, bound to its tensors.
template <class S>
struct Field {
  const Device& device;
  Grid grid;
  RbfShape shape;
  const Tensor &coords, &table, &params;

  Field(const Device& device, const Grid& grid, const RbfShape& shape, const Tensor& coords,
        const Tensor& table, const Tensor& params)
      : device(device), grid(grid), shape(shape), coords(coords), table(table), params(params) {
    check_alignment<S>(table, table.size(1), "table");
  }

  int F() const { return static_cast<int>(table.size(1)); }
  GridKernels<S> kernels() const { return grid_kernels<S>(coords.size(1), table.size(1)); }
  GridTable<S> bound() const { return {grid, read<S>(table)}; }

  void encode(int64_t begin, int64_t count, S* features) const {
    kernels().encode(device, bound(), read<S>(coords) + begin * coords.size(1), count,
                     sample_major(features, grid.num_levels, F()));
  }

  // features are overwritten by their gradient; grad_coords may be null.
  void gradients(S* features, const S* grad, S* grad_table, S* grad_coords, S* grad_params) const {
    const int64_t samples = coords.size(0);
    rbf_gradients<S>({device, shape, params, features, samples}, grad, nullptr, features,
                     grad_params);
    const S* given = features;
    const Features<const S> gradient = sample_major(given, grid.num_levels, F());
    kernels().scatter(device, grid, read<S>(coords), samples, gradient, grad_table);
    if (grad_coords) {
      kernels().coords(device, bound(), read<S>(coords), samples, gradient, grad_coords);
    }
  }
};

}  // namespace

Tensor grid_rbf(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t kernels, int64_t channels, bool affine, double factor,
                int64_t output_activation, std::optional<Tensor> cancel) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  STD_TORCH_CHECK(!cancel || cancel->is_cpu(), "cancel must be on the CPU");
  const volatile uint8_t* flag = cancel ? read<uint8_t>(*cancel) : nullptr;
  const Device device(coords);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    const Field<S> field(device, grid, shape, coords, table, params);
    Tensor scratch = empty_of(params, {std::min(coords.size(0), kChunk) * shape.inputs});
    for (int64_t begin = 0; begin < coords.size(0); begin += kChunk) {
      STD_TORCH_CHECK(!flag || !*flag, "cancelled");
      const int64_t count = std::min(kChunk, coords.size(0) - begin);
      field.encode(begin, count, write<S>(scratch));
      rbf_values<S>({device, shape, params, read<S>(scratch), count},
                    write<S>(values) + begin * channels, nullptr);
      if (flag) device.wait();
    }
    STD_TORCH_CHECK(!flag || !*flag, "cancelled");
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return values;
}

namespace {

std::tuple<Tensor, Tensor, Tensor> grid_rbf_backward(Tensor grad, Tensor coords, Tensor table,
                                                     Tensor params, int64_t num_levels,
                                                     int64_t base_resolution, double growth,
                                                     int64_t log2_table_size, bool smoothstep,
                                                     int64_t kernels, int64_t channels, bool affine,
                                                     double factor, int64_t output_activation,
                                                     bool need_coords) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  const Device device(coords);
  const int64_t samples = coords.size(0);
  Tensor grad_coords = empty_of(coords, {need_coords ? samples : 0, coords.size(1)});
  Tensor grad_table = zeros_of(table, {table.size(0), table.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    const Field<S> field(device, grid, shape, coords, table, params);
    Tensor features = empty_of(params, {samples * shape.inputs});
    field.encode(0, samples, write<S>(features));
    field.gradients(write<S>(features), read<S>(grad), write<S>(grad_table),
                    need_coords ? write<S>(grad_coords) : nullptr, write<S>(grad_params));
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return {grad_coords, grad_table, grad_params};
}

Tensor grid_rbf_step(Tensor coords, Tensor targets, Tensor table, Tensor table_m, Tensor table_v,
                     Tensor params, Tensor params_m, Tensor params_v, Tensor workspace,
                     int64_t num_levels, int64_t base_resolution, double growth,
                     int64_t log2_table_size, bool smoothstep, int64_t kernels, int64_t channels,
                     bool affine, double factor, int64_t output_activation, int64_t loss,
                     int64_t step, double lr_table, double lr_params, double beta1, double beta2,
                     double eps, double weight_decay, bool touched_only) {
  STD_TORCH_CHECK(coords.scalar_type() == ScalarType::Float, "the fused step is float32");
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  STD_TORCH_CHECK(
      targets.dim() == 2 && targets.size(0) == coords.size(0) && targets.size(1) == channels,
      "targets must be [samples, channels]");
  STD_TORCH_CHECK(table_m.numel() == table.numel() && table_v.numel() == table.numel() &&
                      params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of what they belong to");
  STD_TORCH_CHECK(loss >= 0 && loss < static_cast<int>(Loss::given), "there is no such loss");
  STD_TORCH_CHECK(step >= 1 && workspace.numel() >= table.numel(), "workspace is too small");
  const Device device(coords);
  const Field<float> field(device, grid, shape, coords, table, params);
  const int64_t samples = coords.size(0), numbers = samples * channels;
  Tensor value = empty_of(coords, {1});
  Tensor features = empty_of(params, {samples * shape.inputs});
  Tensor values = empty_of(params, {numbers});
  Tensor grad_params = empty_of(params, {params.numel()});
  field.encode(0, samples, write<float>(features));
  rbf_values<float>({device, shape, params, read<float>(features), samples}, write<float>(values),
                    nullptr);
  launch(device, loss_kernel, dim3(1), 1024, 0, static_cast<Loss>(loss), read<float>(targets),
         1.0f / static_cast<float>(numbers), numbers, write<float>(values), write<float>(value));
  // The workspace is zero between steps: Adam clears the gradient that it has used.
  float* grad_table = write<float>(workspace);
  field.gradients(write<float>(features), read<float>(values), grad_table, nullptr,
                  write<float>(grad_params));
  adam_range(device, make_adam(step, lr_params, beta1, beta2, eps, weight_decay),
             write<float>(params), write<float>(grad_params), write<float>(params_m),
             write<float>(params_v), params.numel(), false, false);
  adam_range(device, make_adam(step, lr_table, beta1, beta2, eps, 0.0), write<float>(table),
             grad_table, write<float>(table_m), write<float>(table_v), table.numel(), touched_only,
             true);
  return value;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("grid_rbf", TORCH_BOX(&fields::cuda::grid_rbf));
  m.impl("grid_rbf_backward", TORCH_BOX(&fields::cuda::grid_rbf_backward));
  m.impl("grid_rbf_step", TORCH_BOX(&fields::cuda::grid_rbf_step));
}
