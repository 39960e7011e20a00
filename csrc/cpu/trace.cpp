// The ops that walk rays to the surface of a distance field.
#include "cpu/trace.h"

#include <torch/csrc/stable/library.h>

#include "cpu/checked_rbf.h"
#include "cpu/precision.h"
#include "cpu/tile_rbf.h"
#include "cpu/trace_tensors.h"

namespace fields {
namespace {

// t [R] and normals [R, 3], or [0, 3] without an offset.
template <class Decoder>
std::tuple<Tensor, Tensor> trace(const TraceRule& rule, const Tensor& origins,
                                 const Tensor& directions, int64_t columns,
                                 const GridTable<float>& table,
                                 const typename Decoder::Shape& shape, const Tensor& params,
                                 const std::optional<Tensor>& cancel) {
  STD_TORCH_CHECK(shape.outputs == 1, "a field that is traced has one channel");
  const int64_t count = directions.size(0);
  const bool with_normals = rule.offset > 0;
  Tensor t = empty_of(directions, {count});
  Tensor normals = empty_of(directions, {with_normals ? count : 0, 3});
  const TracedRays rays{read<float>(origins), read<float>(directions), origins.size(0) == 1};
  const TracedSquares squares{count, columns};
  const TracedSurface surface{write<float>(t), with_normals ? write<float>(normals) : nullptr};
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  const typename Decoder::Packed packed(shape, read<float>(params), false);
  Scratch<float> free(columns ? squares.count() : 0);
  std::atomic<int64_t> next_cone{0}, next_ray{0};
  const auto tracer = [&] {
    return FieldTracer<Decoder>(rule, rays, squares, table, shape, packed, stop);
  };
  // Each walks as long as there is something to take.
  const int64_t workers = std::min<int64_t>(squares.count(), num_workers());
  Phases phases;
  if (columns) {
    phases.add(workers, [&](int64_t, int) { tracer().trace_cones(next_cone, free.data()); });
  }
  phases.add(workers, [&](int64_t, int) {
    tracer().trace_rays(next_ray, columns ? free.data() : nullptr, surface);
  });
  phases.run();
  STD_TORCH_CHECK(!stop || !*stop, "cancelled");
  return {t, normals};
}

std::tuple<Tensor, Tensor> trace_grid_mlp(Tensor origins, Tensor directions, Tensor table,
                                          Tensor params, Tensor box, TRACE_RULE, int64_t num_levels,
                                          int64_t base_resolution, double growth,
                                          int64_t log2_table_size, bool smoothstep, int64_t width,
                                          int64_t depth, int64_t channels, bool bias,
                                          int64_t activation, int64_t output_activation,
                                          int64_t precision, double first_omega, double omega,
                                          int64_t columns, std::optional<Tensor> cancel) {
  checked_traced_rays(origins, directions, table, columns);
  const TraceRule rule = checked_trace(TRACE_ARGUMENTS);
  const Grid grid = checked_grid(directions, table, num_levels, base_resolution, growth,
                                 log2_table_size, smoothstep);
  const MlpShape shape = checked_mlp(num_levels * table.size(1), params, width, depth, channels,
                                     bias, activation, output_activation, first_omega, omega);
  const GridTable<float> bound_table(grid, 3, static_cast<int>(table.size(1)), read<float>(table));
  std::optional<std::tuple<Tensor, Tensor>> result;
  with_float_mlp(precision, [&](auto tag) {
    using Mlp = typename decltype(tag)::type;
    result = trace<Mlp>(rule, origins, directions, columns, bound_table, shape, params, cancel);
  });
  return *result;
}

std::tuple<Tensor, Tensor> trace_grid_rbf(Tensor origins, Tensor directions, Tensor table,
                                          Tensor params, Tensor box, TRACE_RULE, int64_t num_levels,
                                          int64_t base_resolution, double growth,
                                          int64_t log2_table_size, bool smoothstep, int64_t kernels,
                                          int64_t channels, bool affine, double factor,
                                          int64_t output_activation, int64_t columns,
                                          std::optional<Tensor> cancel) {
  checked_traced_rays(origins, directions, table, columns);
  const TraceRule rule = checked_trace(TRACE_ARGUMENTS);
  const Grid grid = checked_grid(directions, table, num_levels, base_resolution, growth,
                                 log2_table_size, smoothstep);
  const RbfShape shape = checked_rbf(num_levels * table.size(1), params, kernels, channels, affine,
                                     factor, output_activation);
  const GridTable<float> bound_table(grid, 3, static_cast<int>(table.size(1)), read<float>(table));
  return trace<TileRbf<Pack>>(rule, origins, directions, columns, bound_table, shape, params,
                              cancel);
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("trace_grid_mlp", TORCH_BOX(&fields::trace_grid_mlp));
  m.impl("trace_grid_rbf", TORCH_BOX(&fields::trace_grid_rbf));
}
