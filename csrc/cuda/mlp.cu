// Ops of the MLP alone.
#include "cuda/mlp.cuh"

#include <torch/csrc/stable/library.h>

namespace fields::cuda {
namespace {

template <class S>
Columns<S> rows_of(S* data, const Tensor& matrix) {
  const int columns = static_cast<int>(matrix.size(1));
  return {data, matrix.size(0), columns, columns};
}

Tensor mlp(Tensor x, Tensor params, int64_t width, int64_t depth, int64_t channels, bool bias,
           int64_t activation, int64_t output_activation, int64_t precision, double first_omega,
           double omega) {
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  const Device device(x);
  const MlpCall call(device, shape, precision, params);
  Tensor values = empty_of(x, {x.size(0), channels});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    mlp_values<S>(call, rows_of(read<S>(x), x), write<S>(values));
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return values;
}

std::tuple<Tensor, Tensor> mlp_backward(Tensor grad, Tensor x, Tensor params, int64_t width,
                                        int64_t depth, int64_t channels, bool bias,
                                        int64_t activation, int64_t output_activation,
                                        int64_t precision, double first_omega, double omega) {
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  const Device device(x);
  const MlpCall call(device, shape, precision, params);
  Tensor grad_x = empty_of(x, {x.size(0), x.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    ParamsUpdate<S> update{write<S>(grad_params)};
    mlp_gradients<S>(call, rows_of(read<S>(x), x), Loss::given, read<S>(grad),
                     rows_of(write<S>(grad_x), x), update, nullptr);
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {grad_x, grad_params};
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("mlp", TORCH_BOX(&fields::cuda::mlp));
  m.impl("mlp_backward", TORCH_BOX(&fields::cuda::mlp_backward));
}
