// Ops of hash grid + MLP: values, and the backward that recomputes what it needs.
#include "cuda/grid_mlp.cuh"

#include <torch/csrc/stable/library.h>

#include <functional>

#include "cuda/grid_values.cuh"

namespace fields::cuda {
namespace {

// Samples of a launch: between two, the caller may cancel.
constexpr int64_t kChunk = int64_t(1) << 20;
// The same where features go through memory.
constexpr int64_t kEncodedChunk = int64_t(1) << 18;

// Calls body(begin, count) over the batch. To notice a cancellation in time, each launch is waited
// for where there is a flag.
void in_chunks(const Device& device, int64_t samples, int64_t chunk, const Tensor* cancel,
               const std::function<void(int64_t, int64_t)>& body) {
  const volatile uint8_t* flag = cancel ? read<uint8_t>(*cancel) : nullptr;
  for (int64_t begin = 0; begin < samples; begin += chunk) {
    STD_TORCH_CHECK(!flag || !*flag, "cancelled");
    body(begin, std::min(chunk, samples - begin));
    if (flag) device.wait();
  }
  STD_TORCH_CHECK(!flag || !*flag, "cancelled");
}

template <class S>
void forward(const MlpCall& call, const GridBatch<S>& batch, const Tensor* cancel, S* values) {
  const int channels = call.shape.outputs, outputs = batch.outputs();
  std::optional<FusedForward> fused;
  if constexpr (sizeof(S) == sizeof(float)) {
    if (call.fuses_values<S>()) {
      fused.emplace(call);
      if (call.fused.grid_forward(batch.dim, batch.F)) {
        in_chunks(call.device, batch.samples, kChunk, cancel, [&](int64_t begin, int64_t count) {
          fused->from_grid(batch.table, batch.dim, batch.F, batch.coords + begin * batch.dim, count,
                           values + begin * channels);
        });
        return;
      }
    }
  }
  const auto kernels = grid_kernels<S>(batch.dim, batch.F);
  Tensor scratch = empty_of(call.params, {std::min(batch.samples, kEncodedChunk) * outputs});
  S* data = write<S>(scratch);
  in_chunks(call.device, batch.samples, kEncodedChunk, cancel, [&](int64_t begin, int64_t count) {
    const auto features = fused ? level_major(data, count, batch.F)
                                : sample_major(data, batch.table.grid.num_levels, batch.F);
    kernels.encode(call.device, batch.table, batch.coords + begin * batch.dim, count, features);
    if constexpr (sizeof(S) == sizeof(float)) {
      if (fused) return (*fused)({data, count, outputs, batch.F}, values + begin * channels);
    }
    layered_values<S>(call.device, call.shape, call.params, data, count, values + begin * channels);
  });
}

}  // namespace

Tensor grid_mlp(Tensor coords, Tensor table, Tensor params, int64_t num_levels,
                int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                std::optional<Tensor> cancel) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  STD_TORCH_CHECK(!cancel || (cancel->is_cpu() && cancel->scalar_type() == ScalarType::Byte &&
                              cancel->numel() == 1),
                  "cancel must be a uint8 [1] on the CPU");
  const Device device(coords);
  const MlpCall call(device, shape, precision, params);
  Tensor values = empty_of(coords, {coords.size(0), channels});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    forward<S>(call, bind<S>(grid, coords, table), cancel ? &*cancel : nullptr, write<S>(values));
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return values;
}

namespace {

std::tuple<Tensor, Tensor, Tensor> grid_mlp_backward(
    Tensor grad, Tensor coords, Tensor table, Tensor params, int64_t num_levels,
    int64_t base_resolution, double growth, int64_t log2_table_size, bool smoothstep, int64_t width,
    int64_t depth, int64_t channels, bool bias, int64_t activation, int64_t output_activation,
    int64_t precision, double first_omega, double omega, bool need_coords) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  const Device device(coords);
  const MlpCall call(device, shape, precision, params);
  Tensor grad_coords = empty_of(coords, {need_coords ? coords.size(0) : 0, coords.size(1)});
  Tensor grad_table = zeros_of(table, {table.size(0), table.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    grid_mlp_gradients<S>(call, bind<S>(grid, coords, table), Loss::given, read<S>(grad),
                          write<S>(grad_table), need_coords ? write<S>(grad_coords) : nullptr,
                          ParamsUpdate<S>{write<S>(grad_params)}, nullptr);
  };
  is_double(coords) ? run(0.0) : run(0.0f);
  return {grad_coords, grad_table, grad_params};
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("grid_mlp", TORCH_BOX(&fields::cuda::grid_mlp));
  m.impl("grid_mlp_backward", TORCH_BOX(&fields::cuda::grid_mlp_backward));
}
