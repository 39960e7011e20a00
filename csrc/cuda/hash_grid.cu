// Ops of the hash grid alone: features, their jacobian, and the backward of each.
#include <torch/csrc/stable/library.h>

#include "cuda/grid_kernels.cuh"

namespace fields::cuda {
namespace {

// Calls body(zero) with a zero of the tensor's dtype.
template <class Body>
void with_dtype(const Tensor& like, const Body& body) {
  is_double(like) ? body(0.0) : body(0.0f);
}

void forward(const Grid& grid, const Tensor& coords, const Tensor& table, const Tensor& features,
             const Tensor* jacobian) {
  const Device device(coords);
  const int64_t samples = coords.size(0), F = table.size(1);
  with_dtype(coords, [&](auto zero) {
    using S = decltype(zero);
    check_alignment<S>(table, F, "table");
    const auto kernels = grid_kernels<S>(coords.size(1), F);
    const GridTable<S> bound{grid, read<S>(table)};
    const auto out = sample_major(write<S>(features), grid.num_levels, int(F));
    if (jacobian) {
      kernels.encode_with_grad(device, bound, read<S>(coords), samples, out, write<S>(*jacobian));
    } else {
      kernels.encode(device, bound, read<S>(coords), samples, out);
    }
  });
}

// grad_jacobian may be null: the backward of hash_grid is that of hash_grid_with_grad at zero.
std::tuple<Tensor, Tensor> backward(const Grid& grid, const Tensor& grad,
                                    const Tensor* grad_jacobian, const Tensor& coords,
                                    const Tensor& table, bool need_coords, bool need_table) {
  const Device device(coords);
  const int64_t samples = coords.size(0), F = table.size(1);
  Tensor grad_coords = empty_of(coords, {need_coords ? samples : 0, coords.size(1)});
  Tensor grad_table = zeros_of(table, {need_table ? table.size(0) : 0, F});
  with_dtype(coords, [&](auto zero) {
    using S = decltype(zero);
    check_alignment<S>(table, F, "table");
    check_alignment<S>(grad, F, "gradient");
    const auto kernels = grid_kernels<S>(coords.size(1), F);
    const GridTable<S> bound{grid, read<S>(table)};
    const auto g = sample_major(read<S>(grad), grid.num_levels, int(F));
    const S* x = read<S>(coords);
    if (grad_jacobian) {
      const S* slopes = read<S>(*grad_jacobian);
      if (need_coords) {
        kernels.coords_with_grad(device, bound, x, samples, g, slopes, write<S>(grad_coords));
      }
      if (need_table) {
        kernels.scatter_with_grad(device, grid, x, samples, g, slopes, write<S>(grad_table));
      }
    } else {
      if (need_coords) kernels.coords(device, bound, x, samples, g, write<S>(grad_coords));
      if (need_table) kernels.scatter(device, grid, x, samples, g, write<S>(grad_table));
    }
  });
  return {grad_coords, grad_table};
}

Tensor hash_grid(Tensor coords, Tensor table, int64_t num_levels, int64_t base_resolution,
                 double growth, int64_t log2_table_size, bool smoothstep) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  Tensor features = empty_of(coords, {coords.size(0), num_levels * table.size(1)});
  forward(grid, coords, table, features, nullptr);
  return features;
}

std::tuple<Tensor, Tensor> hash_grid_with_grad(Tensor coords, Tensor table, int64_t num_levels,
                                               int64_t base_resolution, double growth,
                                               int64_t log2_table_size, bool smoothstep) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  const int64_t outputs = num_levels * table.size(1);
  Tensor features = empty_of(coords, {coords.size(0), outputs});
  Tensor jacobian = empty_of(coords, {coords.size(0), outputs, coords.size(1)});
  forward(grid, coords, table, features, &jacobian);
  return {features, jacobian};
}

std::tuple<Tensor, Tensor> hash_grid_backward(Tensor grad, Tensor coords, Tensor table,
                                              int64_t num_levels, int64_t base_resolution,
                                              double growth, int64_t log2_table_size,
                                              bool smoothstep, bool need_coords, bool need_table) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  return backward(grid, grad, nullptr, coords, table, need_coords, need_table);
}

std::tuple<Tensor, Tensor> hash_grid_with_grad_backward(Tensor grad, Tensor grad_jacobian,
                                                        Tensor coords, Tensor table,
                                                        int64_t num_levels, int64_t base_resolution,
                                                        double growth, int64_t log2_table_size,
                                                        bool smoothstep, bool need_coords,
                                                        bool need_table) {
  const Grid grid =
      checked_grid(coords, table, num_levels, base_resolution, growth, log2_table_size, smoothstep);
  return backward(grid, grad, &grad_jacobian, coords, table, need_coords, need_table);
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("hash_grid", TORCH_BOX(&fields::cuda::hash_grid));
  m.impl("hash_grid_with_grad", TORCH_BOX(&fields::cuda::hash_grid_with_grad));
  m.impl("hash_grid_backward", TORCH_BOX(&fields::cuda::hash_grid_backward));
  m.impl("hash_grid_with_grad_backward", TORCH_BOX(&fields::cuda::hash_grid_with_grad_backward));
}
