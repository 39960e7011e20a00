// The thin layer between torch and the kernels: pointers, shapes, and the checks without which a
// kernel would crash. Errors for users are raised in fields/ops.py.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <optional>
#include <tuple>

#include "maths/hash_grid.h"
#include "maths/mlp_shape.h"

namespace fields {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class S>
void check_memory(const Tensor& tensor) {
  constexpr ScalarType expected = std::is_same_v<S, float>      ? ScalarType::Float
                                  : std::is_same_v<S, double>   ? ScalarType::Double
                                  : std::is_same_v<S, uint16_t> ? ScalarType::UInt16
                                  : std::is_same_v<S, int32_t>  ? ScalarType::Int
                                  : std::is_same_v<S, int64_t>  ? ScalarType::Long
                                                                : ScalarType::Byte;
  STD_TORCH_CHECK(tensor.scalar_type() == expected, "a tensor has another dtype than the kernel");
  STD_TORCH_CHECK(tensor.is_contiguous(), "tensors of a kernel must be contiguous");
}

template <class S>
const S* read(const Tensor& tensor) {
  check_memory<S>(tensor);
  return static_cast<const S*>(tensor.const_data_ptr());
}
template <class S>
S* write(const Tensor& tensor) {
  check_memory<S>(tensor);
  return static_cast<S*>(tensor.mutable_data_ptr());
}

inline bool is_double(const Tensor& tensor) { return tensor.scalar_type() == ScalarType::Double; }

inline Tensor empty_of(const Tensor& like, std::initializer_list<int64_t> sizes) {
  return torch::stable::new_empty(
      like, torch::headeronly::IntHeaderOnlyArrayRef(sizes.begin(), sizes.size()));
}
inline Tensor zeros_of(const Tensor& like, std::initializer_list<int64_t> sizes) {
  return torch::stable::new_zeros(
      like, torch::headeronly::IntHeaderOnlyArrayRef(sizes.begin(), sizes.size()));
}

inline Grid checked_grid(const Tensor& coords, const Tensor& table, int64_t num_levels,
                         int64_t base_resolution, double growth, int64_t log2_table_size,
                         bool smoothstep) {
  STD_TORCH_CHECK(coords.dim() == 2 && table.dim() == 2, "coords and table must be matrices");
  STD_TORCH_CHECK(coords.scalar_type() == table.scalar_type(), "coords and table differ in dtype");
  STD_TORCH_CHECK(num_levels >= 1 && num_levels <= kMaxLevels, "num_levels out of range");
  STD_TORCH_CHECK(log2_table_size >= 3 && log2_table_size <= 28, "log2_table_size out of range");
  // Beyond 2^24 cells a float has no bits left for the place within a cell.
  const double finest = std::log2(double(base_resolution)) + (num_levels - 1) * std::log2(growth);
  STD_TORCH_CHECK(base_resolution >= 1 && growth >= 1 && finest <= 24, "the grid is too fine");
  const Grid grid =
      make_grid(coords.size(1), num_levels, base_resolution, growth, log2_table_size, smoothstep);
  STD_TORCH_CHECK(table.size(0) == grid.rows, "table must have ", grid.rows, " rows, has ",
                  table.size(0));
  return grid;
}

inline MlpShape checked_mlp(int64_t inputs, const Tensor& params, int64_t width, int64_t depth,
                            int64_t channels, bool bias, int64_t activation,
                            int64_t output_activation, double first_omega, double omega) {
  const MlpShape shape{static_cast<int>(inputs),
                       static_cast<int>(width),
                       static_cast<int>(depth),
                       static_cast<int>(channels),
                       bias,
                       static_cast<Activation>(activation),
                       static_cast<Activation>(output_activation),
                       first_omega,
                       omega};
  STD_TORCH_CHECK(first_omega > 0 && omega > 0, "frequencies must be more than 0");
  STD_TORCH_CHECK(params.numel() == shape.size(), "params must have ", shape.size(),
                  " numbers, has ", params.numel());
  return shape;
}

}  // namespace fields
