// A batch through an MLP of any shape: fused where that fits, else layer by layer.
#pragma once

#include <cmath>

#include "cuda/mlp_layers.cuh"
#include "cuda/mlp_update.cuh"

namespace fields::cuda {

struct MlpCall {
  const Device& device;
  MlpShape shape;
  const FusedMlp& fused;
  const Tensor& params;

  MlpCall(const Device& device, const MlpShape& shape, int64_t precision, const Tensor& params)
      : device(device), shape(shape), fused(fused_mlp(precision)), params(params) {
    STD_TORCH_CHECK(precision >= 0 && precision <= 2, "precision must be 0, 1 or 2");
  }

  template <class S>
  bool fuses_values() const {
    return sizeof(S) == sizeof(float) && fuses_forward(device, fused, shape);
  }
  template <class S>
  bool fuses_gradients() const {
    return sizeof(S) == sizeof(float) && fuses_backward(device, fused, shape);
  }
};

// Weights in the order of fragments, as long as it lives.
class PackedWeights {
 public:
  PackedWeights(const MlpCall& call, const MlpLayout& layout, bool backward)
      : blocks_(empty_of(call.params, {int64_t(layout.blocks()) * (backward ? 2 : 1) *
                                       call.fused.block_bytes / int64_t(sizeof(float))})) {
    call.fused.pack(call.device, layout, read<float>(call.params), backward,
                    reinterpret_cast<uint4*>(write<float>(blocks_)));
  }
  const uint4* data() const { return reinterpret_cast<const uint4*>(read<float>(blocks_)); }

 private:
  Tensor blocks_;
};

// The forward of one call, over as many batches as it has.
class FusedForward {
 public:
  explicit FusedForward(const MlpCall& call)
      : call_(call), layout_(make_layout(call.shape)), weights_(call, layout_, false) {}

  void operator()(Columns<const float> x, float* values) const {
    call_.fused.forward(call_.device, task(x.samples, values), plan(x.samples), x);
  }
  // False for a grid that is not built in: encode first.
  bool from_grid(const GridTable<float>& table, int64_t dim, int64_t features, const float* coords,
                 int64_t samples, float* values) const {
    const auto run = call_.fused.grid_forward(dim, features);
    if (!run) return false;
    run(call_.device, task(samples, values), plan(samples), table, coords);
    return true;
  }

 private:
  ForwardTask task(int64_t samples, float* values) const {
    return {layout_, read<float>(call_.params), weights_.data(), values, samples};
  }
  ForwardPlan plan(int64_t samples) const {
    return plan_forward(call_.device, call_.fused, layout_, samples);
  }

  const MlpCall& call_;
  MlpLayout layout_;
  PackedWeights weights_;
};

inline void fused_gradients(const MlpCall& call, Columns<const float> x, Loss loss,
                            const float* reference, Columns<float> grad_x,
                            const ParamsUpdate<float>& update, float* loss_value) {
  const MlpLayout layout = make_layout(call.shape);
  const BackwardPlan plan = plan_backward(call.device, call.fused, layout, x.samples);
  const PackedWeights weights(call, layout, true);
  // Sums of each block, then the losses.
  Tensor partial = empty_of(call.params, {int64_t(plan.blocks) * (layout.gradient_floats() + 1)});
  const int64_t numbers = x.samples * call.shape.outputs;
  BackwardTask task{layout, read<float>(call.params), weights.data(), x, loss, reference};
  task.loss_weight = 1.0f / (float(x.samples) * float(call.shape.outputs));
  task.scale = {1.0f, nullptr};
  std::optional<Tensor> largest;
  if (call.fused.scaled && loss == Loss::given) {
    largest = zeros_of(call.params, {1});
    find_largest(call.device, reference, numbers, write<float>(*largest));
    task.scale.largest = read<float>(*largest);
  } else if (call.fused.scaled && numbers > 0) {
    task.scale.constant = std::exp2(std::floor(std::log2(float(numbers))) + 3.0f);
  }
  task.grad_x = grad_x;
  task.partial = write<float>(partial);
  task.partial_loss = task.partial + int64_t(plan.blocks) * layout.gradient_floats();
  call.fused.backward(call.device, task, plan);
  reduce_gradients(call.device, task, plan.blocks, update, loss_value);
}

// x is row major unless call.fuses_values<S>().
template <class S>
void mlp_values(const MlpCall& call, Columns<const S> x, S* values) {
  if constexpr (sizeof(S) == sizeof(float)) {
    if (call.fuses_values<S>()) return FusedForward(call)(x, values);
  }
  layered_values<S>(call.device, call.shape, call.params, x.data, x.samples, values);
}

// x and grad_x, which may be x itself, are row major unless call.fuses_gradients<S>().
template <class S>
void mlp_gradients(const MlpCall& call, Columns<const S> x, Loss loss, const S* reference,
                   Columns<S> grad_x, const ParamsUpdate<S>& update, float* loss_value) {
  if constexpr (sizeof(S) == sizeof(float)) {
    if (call.fuses_gradients<S>()) {
      return fused_gradients(call, x, loss, reference, grad_x, update, loss_value);
    }
  }
  Tensor scratch = empty_of(call.params, {update.grad ? 0 : call.shape.size()});
  S* grad = update.grad ? update.grad : write<S>(scratch);
  layered_gradients<S>(call.device, call.shape, call.params, x.data, x.samples, loss, reference,
                       grad_x.data, grad, loss_value);
  if constexpr (sizeof(S) == sizeof(float)) {
    if (update.param) {
      adam_range(call.device, update.adam, update.param, grad, update.m, update.v,
                 call.shape.size(), false, false);
    }
  }
}

}  // namespace fields::cuda
