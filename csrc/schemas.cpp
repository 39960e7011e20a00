// The schemas of all ops; implementations register themselves from cpu/ and cuda/.
//
// GRID: num_levels, base_resolution, growth, log2_table_size, smoothstep (maths/hash_grid.h).
// MLP: width, depth, channels, bias, activation, output_activation (maths/activation.h), and
// precision of the arithmetic: 0 float32, 1 bf16, 2 fp16, and frequencies of sines
// (maths/mlp_shape.h).
// RBF: kernels, channels, affine, factor, output_activation (maths/rbf.h).
// PLANES: sum (or side by side), align_corners, zero_padding (maths/triplane.h).
// PLANE_FIELDS: octaves beside the planes' features, and their MLP (maths/plane_field.h).
// CAM: bits of the coordinates that the grids span, and whether layers are normalised
// (cpu/tile_cam.h).
// MODULATION: rows that are normalised together, activation and its frequency (maths/modulation.h).
// BVH: the tensors of a hierarchy (maths/bvh.h).
// RADIANCE: widths and depths of two MLPs, degree of the harmonics, precision (maths/radiance.h).
// RBF_RADIANCE: kernels, affine, factor, output_activation (maths/rbf.h), degree of the harmonics.
// TRACE: corners of the box, largest slope, steps, level, and where normals are taken
// (maths/trace.h).
// BRICKS: the tensors of a baked field (maths/bricks.h), and how rays are walked through it.
// MARCH: resolution of the occupancy, ends of the ray, steps, contraction (maths/march.h).
#include <torch/csrc/stable/library.h>

#define GRID                                                                      \
  "int num_levels, int base_resolution, float growth, int log2_table_size, bool " \
  "smoothstep"
#define MLP                                                                                \
  "int width, int depth, int channels, bool bias, int activation, int output_activation, " \
  "int precision, float first_omega, float omega"
#define MODULATION "int group, int activation, float omega"
#define PLANES "bool sum, bool align_corners, bool zero_padding"
#define PLANE_FIELDS "int octaves, " MLP
#define RBF "int kernels, int channels, bool affine, float factor, int output_activation"
#define CAM "int axes, bool normalise"
#define BVH                                                                                     \
  "Tensor corners, Tensor ids, Tensor normals, Tensor boxes, Tensor children, Tensor moments, " \
  "Tensor leaves, Tensor first, Tensor area, Tensor table, Tensor bounds"

#define MARCH                                                                      \
  "int resolution, float near, float far, float step_length, float growth, float " \
  "largest_step, bool contract"
#define TRACE                                                                                 \
  "Tensor box, float bound, float least, float near, float level, float back, float offset, " \
  "int most"
#define BRICKS                                                                       \
  "Tensor blocks, Tensor pages, Tensor vertices, Tensor colours, Tensor densities, " \
  "Tensor palette, float near, float step_length, float min_weight, float min_transmittance"
#define RADIANCE                                                                           \
  "int density_width, int density_depth, int colour_width, int colour_depth, int degree, " \
  "int precision"

#define RBF_RADIANCE "int kernels, bool affine, float factor, int output_activation, int degree"
// Of a table, in ops that march; rays have a growth as well.
#define GRID_OF_TABLE                                                                  \
  "int num_levels, int base_resolution, float grid_growth, int log2_table_size, bool " \
  "smoothstep"
#define RAY_STEP                                                                              \
  "int samples, float min_weight, float min_transmittance, int loss, bool jitter, int seed, " \
  "int step, float lr_table, float lr_params, float beta1, float beta2, float eps, "          \
  "float weight_decay, bool touched_only"
#define RAY_RENDER "float min_weight, float min_transmittance, int width, Tensor? cancel"

STABLE_TORCH_LIBRARY(fields, m) {
  m.def("hash_grid(Tensor coords, Tensor table, " GRID ") -> Tensor");
  m.def("hash_grid_with_grad(Tensor coords, Tensor table, " GRID ") -> (Tensor, Tensor)");
  m.def("hash_grid_backward(Tensor grad, Tensor coords, Tensor table, " GRID
        ", bool need_coords, bool need_table) -> (Tensor, Tensor)");
  m.def(
      "hash_grid_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor coords, "
      "Tensor table, " GRID ", bool need_coords, bool need_table) -> (Tensor, Tensor)");
  m.def("triplane(Tensor coords, Tensor planes, " PLANES ") -> Tensor");
  m.def("triplane_with_grad(Tensor coords, Tensor planes, " PLANES ") -> (Tensor, Tensor)");
  m.def("triplane_backward(Tensor grad, Tensor coords, Tensor planes, " PLANES
        ", bool need_coords, bool need_planes) -> (Tensor, Tensor)");
  m.def(
      "triplane_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor coords, "
      "Tensor planes, " PLANES ", bool need_coords, bool need_planes) -> (Tensor, Tensor)");
  m.def("plane_fields(Tensor coords, Tensor planes, Tensor params, " PLANE_FIELDS ") -> Tensor");
  m.def(
      "fit_plane_fields(Tensor samples, Tensor keys, Tensor(a!) planes, Tensor(b!) planes_m, "
      "Tensor(c!) planes_v, Tensor(d!) params, Tensor(e!) params_m, Tensor(f!) "
      "params_v, " PLANE_FIELDS
      ", int loss, int batch, int first_step, int steps, int total, float lr_planes, "
      "float lr_params, float final_share, float beta1, float beta2, float eps) -> Tensor");
  m.def("mlp(Tensor x, Tensor params, " MLP ") -> Tensor");
  m.def("mlp_backward(Tensor grad, Tensor x, Tensor params, " MLP ") -> (Tensor, Tensor)");
  m.def(
      "mlp_step(Tensor x, Tensor targets, Tensor(a!) params, Tensor(b!) params_m, "
      "Tensor(c!) params_v, " MLP
      ", int loss, int step, float lr, float beta1, float beta2, float eps, "
      "float weight_decay) -> Tensor");
  m.def("fourier(Tensor coords, Tensor frequencies) -> Tensor");
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
  m.def("rbf(Tensor x, Tensor params, " RBF ") -> Tensor");
  m.def("rbf_backward(Tensor grad, Tensor x, Tensor params, " RBF ") -> (Tensor, Tensor)");
  m.def("rbf_with_grad(Tensor x, Tensor params, " RBF ") -> (Tensor, Tensor)");
  m.def("rbf_with_grad_backward(Tensor grad, Tensor grad_jacobian, Tensor x, Tensor params, " RBF
        ") -> (Tensor, Tensor)");
  m.def("grid_rbf(Tensor coords, Tensor table, Tensor params, " GRID ", " RBF
        ", Tensor? cancel) -> Tensor");
  m.def("grid_rbf_backward(Tensor grad, Tensor coords, Tensor table, Tensor params, " GRID ", " RBF
        ", bool need_coords) -> (Tensor, Tensor, Tensor)");
  m.def(
      "grid_rbf_step(Tensor coords, Tensor targets, Tensor(a!) table, Tensor(b!) table_m, "
      "Tensor(c!) table_v, Tensor(d!) params, Tensor(e!) params_m, Tensor(f!) params_v, "
      "Tensor(g!) workspace, " GRID ", " RBF
      ", int loss, int step, float lr_table, float lr_params, float beta1, float beta2, "
      "float eps, float weight_decay, bool touched_only) -> Tensor");
  m.def(
      "adam_step(Tensor(a!) param, Tensor grad, Tensor(b!) m, Tensor(c!) v, int step, float lr, "
      "float beta1, float beta2, float eps, float weight_decay, bool touched_only) -> ()");
  m.def("sample_pixels(Tensor pixels, int count, int seed, int step) -> (Tensor, Tensor)");
  m.def("modulate(Tensor h, Tensor positions, Tensor gamma, Tensor beta, " MODULATION
        ") -> Tensor");
  m.def(
      "modulate_backward(Tensor grad, Tensor h, Tensor positions, Tensor gamma, Tensor "
      "beta, " MODULATION ", bool need_positions) -> (Tensor, Tensor, Tensor, Tensor)");
  m.def("cam_mlp(Tensor coords, Tensor frequencies, Tensor table, Tensor params, " MLP ", " CAM
        ") -> Tensor");
  m.def(
      "cam_mlp_backward(Tensor grad, Tensor coords, Tensor frequencies, Tensor table, Tensor "
      "params, " MLP ", " CAM ", bool need_coords) -> (Tensor, Tensor, Tensor)");
  m.def(
      "cam_step(Tensor coords, Tensor targets, Tensor frequencies, Tensor(a!) table, "
      "Tensor(b!) table_m, Tensor(c!) table_v, Tensor(d!) params, Tensor(e!) params_m, "
      "Tensor(f!) params_v, " MLP ", " CAM
      ", int loss, int step, float lr_table, float lr_params, float beta1, float beta2, "
      "float eps, float weight_decay) -> Tensor");
  m.def(
      "build_bvh(Tensor vertices, Tensor faces) -> (Tensor, Tensor, Tensor, Tensor, Tensor, "
      "Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def("closest_point(Tensor points, " BVH ", bool has_sign) -> (Tensor, Tensor, Tensor)");
  m.def("winding_number(Tensor points, " BVH ") -> Tensor");
  m.def("sample_shape(" BVH
        ", int surface, int near, int uniform, int seed, int step, float jitter, float sigma, "
        "float truncation, int sign) -> (Tensor, Tensor)");
  m.def(
      "sample_rays(Tensor pixels, Tensor poses, Tensor intrinsics, Tensor? directions, "
      "Tensor? cameras, Tensor? among, Tensor? upto, Tensor? starts, int side, int count, "
      "int seed, int step, bool random, float red, float green, float blue) -> "
      "(Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def("march_rays(Tensor origins, Tensor directions, Tensor bits, " MARCH
        ", bool jitter, int seed, int step) -> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "occupancy_update(Tensor(a!) density, Tensor cells, Tensor values, float decay, "
      "float threshold) -> Tensor");
  m.def(
      "composite(Tensor sigma, Tensor colour, Tensor t, Tensor dt, Tensor offsets) -> "
      "(Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "composite_backward(Tensor grad_colour, Tensor grad_opacity, Tensor grad_depth, "
      "Tensor grad_weights, Tensor sigma, Tensor colour, Tensor t, Tensor dt, Tensor offsets, "
      "Tensor weights) -> (Tensor, Tensor)");
  m.def("spherical_harmonics(Tensor directions, int degree) -> Tensor");
  m.def("spherical_harmonics_backward(Tensor grad, Tensor directions, int degree) -> Tensor");
  m.def(
      "radiance_step(Tensor origins, Tensor directions, Tensor? times, Tensor colours, "
      "Tensor backgrounds, Tensor? weights, Tensor bits, " MARCH
      ", Tensor(a!) table, Tensor(b!) table_m, Tensor(c!) table_v, Tensor(d!) density, "
      "Tensor(e!) density_m, Tensor(f!) density_v, Tensor(g!) colour, Tensor(h!) colour_m, "
      "Tensor(i!) colour_v, Tensor(j!) workspace, " GRID_OF_TABLE ", " RADIANCE ", " RAY_STEP
      ", Tensor(k!)? stages) -> (Tensor, Tensor, Tensor)");
  m.def(
      "rbf_radiance_step(Tensor origins, Tensor directions, Tensor? times, Tensor colours, "
      "Tensor backgrounds, Tensor? weights, Tensor bits, " MARCH
      ", Tensor(a!) table, Tensor(b!) table_m, Tensor(c!) table_v, Tensor(d!) params, "
      "Tensor(e!) params_m, Tensor(f!) params_v, Tensor(g!) workspace, " GRID_OF_TABLE
      ", " RBF_RADIANCE ", " RAY_STEP ", Tensor(h!)? stages) -> (Tensor, Tensor, Tensor)");
  m.def("radiance_render(Tensor origins, Tensor directions, Tensor? times, Tensor bits, " MARCH
        ", Tensor table, Tensor density, Tensor colour, " GRID_OF_TABLE ", " RADIANCE
        ", " RAY_RENDER ") -> (Tensor, Tensor, Tensor)");
  m.def("rbf_radiance_render(Tensor origins, Tensor directions, Tensor? times, Tensor bits, " MARCH
        ", Tensor table, Tensor params, " GRID_OF_TABLE ", " RBF_RADIANCE ", " RAY_RENDER
        ") -> (Tensor, Tensor, Tensor)");
  m.def("trace_grid_mlp(Tensor origins, Tensor directions, Tensor table, Tensor params, " TRACE
        ", " GRID ", " MLP ", int columns, Tensor? cancel) -> (Tensor, Tensor)");
  m.def("trace_grid_rbf(Tensor origins, Tensor directions, Tensor table, Tensor params, " TRACE
        ", " GRID ", " RBF ", int columns, Tensor? cancel) -> (Tensor, Tensor)");
  m.def("bricks_render(Tensor pose, Tensor intrinsics, int width, int height, " BRICKS
        ", float shared_weight, Tensor? cancel) -> (Tensor, Tensor, Tensor)");
  m.def("radiance_in_bricks(Tensor pose, Tensor intrinsics, int width, int height, " BRICKS
        ", float caution, Tensor table, Tensor density, Tensor colour, " GRID_OF_TABLE ", " RADIANCE
        ", Tensor? cancel) -> (Tensor, Tensor, Tensor)");
  m.def("rbf_radiance_in_bricks(Tensor pose, Tensor intrinsics, int width, int height, " BRICKS
        ", float caution, Tensor table, Tensor params, " GRID_OF_TABLE ", " RBF_RADIANCE
        ", Tensor? cancel) -> (Tensor, Tensor, Tensor)");
  m.def("bricks_seen(Tensor poses, Tensor intrinsics, int width, int height, " BRICKS
        ") -> Tensor");
  m.def("paint(Tensor colours, Tensor opacity, Tensor background) -> Tensor");
  m.def("fma_peak(float seconds, int precision) -> float");
}
