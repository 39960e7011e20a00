// Hash grid + MLP over a batch, shared by the autograd ops and by the fused training step.
//
// The backward has three passes: encode; MLP forward and backward, which leaves d loss / d features
// where the features were; then levels side by side, each adding to its rows of the table.
#pragma once

#include "cuda/mlp.cuh"

namespace fields::cuda {

// A hash grid bound to its table and to a batch.
template <class S>
struct GridBatch {
  GridTable<S> table;
  int64_t dim;
  int F;
  const S* coords;
  int64_t samples;

  int outputs() const { return table.grid.num_levels * F; }
};

template <class S>
GridBatch<S> bind(const Grid& grid, const Tensor& coords, const Tensor& table) {
  check_alignment<S>(table, table.size(1), "table");
  return {{grid, read<S>(table)},
          coords.size(1),
          static_cast<int>(table.size(1)),
          read<S>(coords),
          coords.size(0)};
}

// d loss / d table is added to grad_table, d loss / d coords is written unless the pointer is null.
template <class S>
void grid_mlp_gradients(const MlpCall& call, const GridBatch<S>& batch, Loss loss,
                        const S* reference, S* grad_table, S* grad_coords,
                        const ParamsUpdate<S>& update, float* loss_value) {
  const auto kernels = grid_kernels<S>(batch.dim, batch.F);
  const int outputs = batch.outputs(), levels = batch.table.grid.num_levels;
  const bool fused = call.fuses_gradients<S>();
  Tensor scratch = empty_of(call.params, {batch.samples * outputs});
  S* data = write<S>(scratch);
  const Features<S> features =
      fused ? level_major(data, batch.samples, batch.F) : sample_major(data, levels, batch.F);
  const Features<const S> gradient{features.data, features.per_sample, features.per_level};
  const int group = fused ? batch.F : outputs;
  kernels.encode(call.device, batch.table, batch.coords, batch.samples, features);
  mlp_gradients<S>(call, {data, batch.samples, outputs, group}, loss, reference,
                   {data, batch.samples, outputs, group}, update, loss_value);
  kernels.scatter(call.device, batch.table.grid, batch.coords, batch.samples, gradient, grad_table);
  if (grad_coords) {
    kernels.coords(call.device, batch.table, batch.coords, batch.samples, gradient, grad_coords);
  }
}

}  // namespace fields::cuda
