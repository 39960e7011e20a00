// The schemas of all ops; implementations register themselves from cpu/ and cuda/.
//
// GRID: num_levels, base_resolution, growth, log2_table_size, smoothstep (maths/hash_grid.h).
// MLP: width, depth, channels, bias, activation, output_activation (maths/activation.h), and
// precision of the arithmetic: 0 float32, 1 bf16, 2 fp16.
#include <torch/csrc/stable/library.h>

#define GRID                                                                      \
  "int num_levels, int base_resolution, float growth, int log2_table_size, bool " \
  "smoothstep"
#define MLP                                                                                \
  "int width, int depth, int channels, bool bias, int activation, int output_activation, " \
  "int precision"

STABLE_TORCH_LIBRARY(fields, m) {
  m.def("hash_grid(Tensor coords, Tensor table, " GRID ") -> Tensor");
  m.def("hash_grid_with_grad(Tensor coords, Tensor table, " GRID ") -> (Tensor, Tensor)");
  m.def("hash_grid_backward(Tensor grad, Tensor coords, Tensor table, " GRID
        ", bool need_coords, bool need_table) -> (Tensor, Tensor)");
  m.def(
      "hash_grid_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor coords, "
      "Tensor table, " GRID ", bool need_coords, bool need_table) -> (Tensor, Tensor)");
  m.def("mlp(Tensor x, Tensor params, " MLP ") -> Tensor");
  m.def("mlp_backward(Tensor grad, Tensor x, Tensor params, " MLP ") -> (Tensor, Tensor)");
  m.def("grid_mlp(Tensor coords, Tensor table, Tensor params, " GRID ", " MLP
        ", Tensor? cancel) -> Tensor");
  m.def("grid_mlp_backward(Tensor grad, Tensor coords, Tensor table, Tensor params, " GRID ", " MLP
        ", bool need_coords) -> (Tensor, Tensor, Tensor)");
  m.def(
      "grid_mlp_step(Tensor coords, Tensor targets, Tensor(a!) table, Tensor(b!) table_m, "
      "Tensor(c!) table_v, Tensor(d!) params, Tensor(e!) params_m, Tensor(f!) params_v, "
      "Tensor(g!) workspace, " GRID ", " MLP
      ", int loss, int step, float lr_table, float lr_params, float beta1, float beta2, "
      "float eps, float weight_decay, bool touched_only) -> Tensor");
  m.def(
      "adam_step(Tensor(a!) param, Tensor grad, Tensor(b!) m, Tensor(c!) v, int step, float lr, "
      "float beta1, float beta2, float eps, float weight_decay, bool touched_only) -> ()");
  m.def("sample_pixels(Tensor pixels, int count, int seed, int step) -> (Tensor, Tensor)");
  m.def("fma_peak(float seconds, int precision) -> float");
}
