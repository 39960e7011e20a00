// The fused training step of an MLP on given inputs. It queues kernels and returns.
#include <torch/csrc/stable/library.h>

#include "cuda/mlp.cuh"

namespace fields::cuda {
namespace {

Tensor mlp_step(Tensor x, Tensor targets, Tensor params, Tensor params_m, Tensor params_v,
                int64_t width, int64_t depth, int64_t channels, bool bias, int64_t activation,
                int64_t output_activation, int64_t precision, double first_omega, double omega,
                int64_t loss, int64_t step, double lr, double beta1, double beta2, double eps,
                double weight_decay) {
  STD_TORCH_CHECK(x.scalar_type() == ScalarType::Float, "the fused step is float32");
  const MlpShape shape = checked_mlp(x.size(1), params, width, depth, channels, bias, activation,
                                     output_activation, first_omega, omega);
  STD_TORCH_CHECK(targets.dim() == 2 && targets.size(0) == x.size(0) && targets.size(1) == channels,
                  "targets must be [samples, channels]");
  STD_TORCH_CHECK(params_m.numel() == params.numel() && params_v.numel() == params.numel(),
                  "moments must have the shape of the parameters");
  STD_TORCH_CHECK(loss >= 0 && loss < static_cast<int>(Loss::given), "there is no such loss");
  const Device device(x);
  const MlpCall call(device, shape, precision, params);
  Tensor value = empty_of(x, {1});
  const ParamsUpdate<float> update{nullptr, write<float>(params), write<float>(params_m),
                                   write<float>(params_v),
                                   make_adam(step, lr, beta1, beta2, eps, weight_decay)};
  const int inputs = static_cast<int>(x.size(1));
  mlp_gradients<float>(call, {read<float>(x), x.size(0), inputs, inputs}, static_cast<Loss>(loss),
                       read<float>(targets), {nullptr, x.size(0), inputs, inputs}, update,
                       write<float>(value));
  return value;
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("mlp_step", TORCH_BOX(&fields::cuda::mlp_step));
}
