// Ops of the Gaussian kernels alone: values, values with their jacobian, and the backward of each.
#include "cuda/rbf.cuh"

#include <torch/csrc/stable/library.h>

#include <algorithm>
#include <vector>

#include "cuda/rbf_kernels.cuh"

namespace fields::cuda {
namespace {

constexpr int kThreads = 128;

// Scratch of one call, and what its launches share.
template <class S>
class Call {
 public:
  explicit Call(const RbfBatch<S>& batch)
      : batch_(batch),
        params_{batch.shape, scratch(batch.shape.size())},
        values_rows_(batch.samples * batch.shape.outputs) {
    launch_each(batch.device, ready_kernel<S>, batch.shape.size(), 1, batch.shape,
                read<S>(batch.params), const_cast<S*>(params_.ready));
  }

  void values(S* values, S* slopes, S* phi) {
    const int64_t bytes = batch_.shape.size() * int64_t(sizeof(S));
    const bool staged = bytes <= batch_.device.block_memory();
    launch(batch_.device, values_kernel<S>,
           dim3(static_cast<unsigned>(ceil_div(batch_.samples, kThreads))), kThreads,
           staged ? static_cast<size_t>(bytes) : 0, params_, staged, batch_.x, batch_.samples,
           values, slopes, phi);
  }

  void jacobian(const S* slopes, const S* phi, S* before, S* jacobian) {
    launch_each(batch_.device, jacobian_kernel<S>, values_rows_ * batch_.shape.inputs, 1, params_,
                batch_.x, batch_.samples, slopes, phi, before, jacobian);
  }

  void gradients(const S* grad, const S* grad_jacobian, S* grad_x, S* grad_params) {
    const RbfShape& shape = batch_.shape;
    const int64_t samples = batch_.samples, numbers = values_rows_ * shape.inputs;
    S *out = scratch(values_rows_), *slopes = scratch(values_rows_), *dz = scratch(values_rows_);
    S *phi = scratch(samples * shape.kernels), *g = scratch(samples * shape.kernels);
    S *before = nullptr, *dslopes = nullptr;
    values(out, slopes, phi);
    if (grad_jacobian) {
      before = scratch(numbers);
      dslopes = scratch(numbers);
      jacobian(slopes, phi, before, nullptr);
    }
    const S *c_phi = phi, *c_dz = dz, *c_dslopes = dslopes, *c_g = g;
    launch_each(batch_.device, before_activation_kernel<S>, values_rows_, 1, shape, values_rows_,
                out, slopes, grad, grad_jacobian, before, dz, dslopes);
    launch_each(batch_.device, kernel_grad_kernel<S>, samples, shape.kernels, params_, batch_.x,
                samples, c_phi, c_dz, c_dslopes, g);
    const int slices = static_cast<int>(std::clamp<int64_t>(samples / 2048, 1, 64));
    S* partial = scratch(slices * 2 * shape.table());
    launch(
        batch_.device, centres_kernel<S>,
        dim3(shape.kernels, static_cast<unsigned>(ceil_div(shape.inputs, kFeatureLanes)), slices),
        dim3(kFeatureLanes, kSampleLanes), 0, params_, batch_.x, samples, c_phi, c_g, c_dslopes,
        partial);
    launch_each(batch_.device, sum_slices_kernel<S>, 2 * shape.table(), 1, partial, slices,
                2 * shape.table(), grad_params);
    launch(batch_.device, linear_kernel<S>, dim3(shape.units() + 1, shape.outputs), 256, 0, params_,
           batch_.x, samples, c_phi, c_dz, c_dslopes, grad_params);
    launch_each(batch_.device, grad_x_kernel<S>, samples * shape.inputs, 1, params_, batch_.x,
                samples, c_phi, c_g, c_dz, c_dslopes, grad_x);
  }

  S* scratch(int64_t size) {
    scratch_.push_back(empty_of(batch_.params, {size}));
    return write<S>(scratch_.back());
  }

 private:
  const RbfBatch<S>& batch_;
  std::vector<Tensor> scratch_;
  RbfParams<S> params_;
  int64_t values_rows_;
};

}  // namespace

template <class S>
void rbf_values(const RbfBatch<S>& batch, S* values, S* jacobian) {
  Call<S> call(batch);
  if (!jacobian) return call.values(values, nullptr, nullptr);
  S* slopes = call.scratch(batch.samples * batch.shape.outputs);
  S* phi = call.scratch(batch.samples * batch.shape.kernels);
  call.values(values, slopes, phi);
  call.jacobian(slopes, phi, nullptr, jacobian);
}

template <class S>
void rbf_gradients(const RbfBatch<S>& batch, const S* grad, const S* grad_jacobian, S* grad_x,
                   S* grad_params) {
  Call<S>(batch).gradients(grad, grad_jacobian, grad_x, grad_params);
}

#define FIELDS_RBF(S)                                      \
  template void rbf_values<S>(const RbfBatch<S>&, S*, S*); \
  template void rbf_gradients<S>(const RbfBatch<S>&, const S*, const S*, S*, S*);
FIELDS_RBF(float)
FIELDS_RBF(double)
#undef FIELDS_RBF

namespace {

Tensor rbf(Tensor x, Tensor params, int64_t kernels, int64_t channels, bool affine, double factor,
           int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  const Device device(x);
  Tensor values = empty_of(x, {x.size(0), channels});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    rbf_values<S>({device, shape, params, read<S>(x), x.size(0)}, write<S>(values), nullptr);
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return values;
}

std::tuple<Tensor, Tensor> rbf_with_grad(Tensor x, Tensor params, int64_t kernels, int64_t channels,
                                         bool affine, double factor, int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  const Device device(x);
  Tensor values = empty_of(x, {x.size(0), channels});
  Tensor jacobian = empty_of(x, {x.size(0), channels, x.size(1)});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    rbf_values<S>({device, shape, params, read<S>(x), x.size(0)}, write<S>(values),
                  write<S>(jacobian));
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {values, jacobian};
}

std::tuple<Tensor, Tensor> gradients(const RbfShape& shape, const Tensor& grad,
                                     const Tensor* grad_jacobian, const Tensor& x,
                                     const Tensor& params) {
  const Device device(x);
  Tensor grad_x = empty_of(x, {x.size(0), x.size(1)});
  Tensor grad_params = empty_of(params, {params.numel()});
  const auto run = [&](auto zero) {
    using S = decltype(zero);
    rbf_gradients<S>({device, shape, params, read<S>(x), x.size(0)}, read<S>(grad),
                     grad_jacobian ? read<S>(*grad_jacobian) : nullptr, write<S>(grad_x),
                     write<S>(grad_params));
  };
  is_double(x) ? run(0.0) : run(0.0f);
  return {grad_x, grad_params};
}

std::tuple<Tensor, Tensor> rbf_backward(Tensor grad, Tensor x, Tensor params, int64_t kernels,
                                        int64_t channels, bool affine, double factor,
                                        int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  return gradients(shape, grad, nullptr, x, params);
}

std::tuple<Tensor, Tensor> rbf_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor x,
                                                  Tensor params, int64_t kernels, int64_t channels,
                                                  bool affine, double factor,
                                                  int64_t output_activation) {
  const RbfShape shape =
      checked_rbf(x.size(1), params, kernels, channels, affine, factor, output_activation);
  return gradients(shape, grad, &grad_jacobian, x, params);
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("rbf", TORCH_BOX(&fields::cuda::rbf));
  m.impl("rbf_with_grad", TORCH_BOX(&fields::cuda::rbf_with_grad));
  m.impl("rbf_backward", TORCH_BOX(&fields::cuda::rbf_backward));
  m.impl("rbf_with_grad_backward", TORCH_BOX(&fields::cuda::rbf_with_grad_backward));
}
