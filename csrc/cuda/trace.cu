// The ops that walk rays to the surface of a distance field: all rays that are on their way ask the
// field at once, then each takes its step. Cones before the rays are for the CPU, whose rays cost
// what their steps do; here a question costs more than its points where they are few.
#include "cuda/grid_values.cuh"

#include <torch/csrc/stable/library.h>

#include <functional>

#include "cpu/trace_tensors.h"

namespace fields::cuda {
namespace {

// Rays whose places are in memory at once.
constexpr int64_t kChunk = int64_t(1) << 20;

// Coords [N, 3] -> values [N, 1].
using Ask = std::function<Tensor(const Tensor&)>;

// Numbers of some rays of a chunk, and how many they are.
struct Queue {
  int32_t* rays;
  int32_t* count;

  __device__ void add(int32_t ray) const { rays[atomicAdd(count, 1)] = ray; }
};

// What a chunk of rays comes from and goes to; all pointers are those of its first ray.
struct Chunk {
  const float *origins, *directions;
  bool one_origin;
  int64_t rays;
  TracedRay* walks;
  float* t;
  float* normals;  // or null

  __device__ void miss(int64_t ray) const {
    t[ray] = INFINITY;
    if (!normals) return;
    for (int d = 0; d < 3; ++d) normals[3 * ray + d] = 0.0f;
  }
};

__device__ inline void place(const TracedRay& walk, float t, float* coords) {
  for (int d = 0; d < 3; ++d) {
    coords[d] = min(max(fma(t, walk.direction[d], walk.origin[d]), 0.0f), 1.0f);
  }
}

__global__ void begin_rays(const TraceRule rule, const Chunk chunk, const Queue on) {
  const int64_t ray = thread_index();
  if (ray >= chunk.rays) return;
  const float* origin = chunk.origins + (chunk.one_origin ? 0 : 3 * ray);
  if (begin_ray(rule, origin, chunk.directions + 3 * ray, 0.0f, chunk.walks[ray])) {
    on.add(static_cast<int32_t>(ray));
  } else {
    chunk.miss(ray);
  }
}

__global__ void place_rays(const Chunk chunk, const int32_t* rays, int64_t count, float* coords) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const TracedRay& walk = chunk.walks[rays[i]];
  place(walk, walk.t, coords + 3 * i);
}

__global__ void step_rays(const TraceRule rule, const Chunk chunk, const int32_t* rays,
                          const float* values, int64_t count, const Queue on, const Queue found) {
  const int64_t i = thread_index();
  if (i >= count) return;
  const int32_t ray = rays[i];
  TracedRay walk = chunk.walks[ray];
  const Walk end = step_on(rule, values[i], walk);
  if (end == Walk::on) {
    chunk.walks[ray] = walk;
    on.add(ray);
  } else if (end == Walk::hit) {
    chunk.t[ray] = walk.t;
    chunk.walks[ray].t = walk.t;
    found.add(ray);
  } else {
    chunk.miss(ray);
  }
}

// Both points of the difference quotient along an axis, of each ray.
__global__ void place_beside(const TraceRule rule, const Chunk chunk, const int32_t* rays,
                             int64_t count, int axis, float* coords) {
  const int64_t i = thread_index();
  if (i >= 2 * count) return;
  const TracedRay& walk = chunk.walks[rays[i / 2]];
  float* x = coords + 3 * i;
  for (int d = 0; d < 3; ++d) {
    float at = fma(walk.t - rule.back, walk.direction[d], walk.origin[d]);
    if (d == axis) at += i % 2 ? -rule.offset : rule.offset;
    x[d] = min(max(at, 0.0f), 1.0f);
  }
}

__global__ void take_slopes(const Chunk chunk, const int32_t* rays, const float* values,
                            int64_t count, int axis) {
  const int64_t i = thread_index();
  if (i < count) chunk.normals[3 * rays[i] + axis] = values[2 * i] - values[2 * i + 1];
}

__global__ void normalise(const Chunk chunk, const int32_t* rays, int64_t count) {
  const int64_t i = thread_index();
  if (i >= count) return;
  float* normal = chunk.normals + 3 * int64_t(rays[i]);
  const float length =
      sqrt(fma(normal[0], normal[0], fma(normal[1], normal[1], normal[2] * normal[2])));
  const float scale = 1.0f / max(length, 1e-12f);
  for (int d = 0; d < 3; ++d) normal[d] *= scale;
}

// One chunk's way from the box to normals.
class ChunkTracer {
 public:
  ChunkTracer(const Device& device, const TraceRule& rule, const Ask& ask, const Tensor& like,
              int64_t most, const volatile uint8_t* cancel)
      : device_(device),
        rule_(rule),
        ask_(ask),
        like_(like),
        cancel_(cancel),
        walks_(
            torch::stable::new_empty(like, {most * int64_t(sizeof(TracedRay))}, ScalarType::Byte)),
        queues_(torch::stable::new_empty(like, {3, most}, ScalarType::Int)),
        counts_(torch::stable::new_empty(like, {3}, ScalarType::Int)),
        most_(most) {}

  TracedRay* walks() { return static_cast<TracedRay*>(walks_.mutable_data_ptr()); }

  void trace(const Chunk& chunk) {
    int now = 0, next = 1;
    const int found = 2;
    clear(0, 3);
    launch_each(device_, begin_rays, chunk.rays, 1, rule_, chunk, queue(now));
    for (int64_t count; (count = size(now)) > 0; std::swap(now, next)) {
      STD_TORCH_CHECK(!cancel_ || !*cancel_, "cancelled");
      clear(next, 1);
      Tensor coords = empty_of(like_, {count, 3});
      launch_each(device_, place_rays, count, 1, chunk, queue(now).rays, count,
                  write<float>(coords));
      const Tensor values = ask_(coords);
      launch_each(device_, step_rays, count, 1, rule_, chunk, queue(now).rays, read<float>(values),
                  count, queue(next), queue(found));
    }
    if (chunk.normals) find_normals(chunk, queue(found).rays, size(found));
  }

 private:
  Queue queue(int i) { return {write<int32_t>(queues_) + i * most_, write<int32_t>(counts_) + i}; }

  void clear(int first, int count) {
    check(cudaMemsetAsync(write<int32_t>(counts_) + first, 0, count * sizeof(int32_t),
                          device_.stream()));
  }

  int64_t size(int i) {
    int32_t count = 0;
    check(cudaMemcpyAsync(&count, write<int32_t>(counts_) + i, sizeof(count),
                          cudaMemcpyDeviceToHost, device_.stream()));
    device_.wait();
    return count;
  }

  void find_normals(const Chunk& chunk, const int32_t* rays, int64_t count) {
    if (count == 0) return;
    for (int axis = 0; axis < 3; ++axis) {
      Tensor coords = empty_of(like_, {2 * count, 3});
      launch_each(device_, place_beside, 2 * count, 1, rule_, chunk, rays, count, axis,
                  write<float>(coords));
      const Tensor values = ask_(coords);
      launch_each(device_, take_slopes, count, 1, chunk, rays, read<float>(values), count, axis);
    }
    launch_each(device_, normalise, count, 1, chunk, rays, count);
  }

  const Device& device_;
  const TraceRule& rule_;
  const Ask& ask_;
  const Tensor& like_;
  const volatile uint8_t* cancel_;
  Tensor walks_, queues_, counts_;  // of rays on their way now, of those that go on, of those found
  int64_t most_;
};

std::tuple<Tensor, Tensor> trace(const TraceRule& rule, const Tensor& origins,
                                 const Tensor& directions, int64_t channels, const Ask& ask,
                                 const std::optional<Tensor>& cancel) {
  STD_TORCH_CHECK(channels == 1, "a field that is traced has one channel");
  STD_TORCH_CHECK(!cancel || (cancel->is_cpu() && cancel->scalar_type() == ScalarType::Byte &&
                              cancel->numel() == 1),
                  "cancel must be a uint8 [1] on the CPU");
  const int64_t rays = directions.size(0);
  const bool with_normals = rule.offset > 0, one_origin = origins.size(0) == 1;
  const Device device(directions);
  Tensor t = empty_of(directions, {rays});
  Tensor normals = empty_of(directions, {with_normals ? rays : 0, 3});
  if (rays == 0) return {t, normals};
  const volatile uint8_t* stop = cancel ? read<uint8_t>(*cancel) : nullptr;
  ChunkTracer tracer(device, rule, ask, directions, std::min(rays, kChunk), stop);
  for (int64_t begin = 0; begin < rays; begin += kChunk) {
    tracer.trace({read<float>(origins) + (one_origin ? 0 : 3 * begin),
                  read<float>(directions) + 3 * begin, one_origin, std::min(kChunk, rays - begin),
                  tracer.walks(), write<float>(t) + begin,
                  with_normals ? write<float>(normals) + 3 * begin : nullptr});
  }
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
  const Ask ask = [&](const Tensor& coords) {
    return grid_mlp(coords, table, params, num_levels, base_resolution, growth, log2_table_size,
                    smoothstep, width, depth, channels, bias, activation, output_activation,
                    precision, first_omega, omega, std::nullopt);
  };
  return trace(checked_trace(TRACE_ARGUMENTS), origins, directions, channels, ask, cancel);
}

std::tuple<Tensor, Tensor> trace_grid_rbf(Tensor origins, Tensor directions, Tensor table,
                                          Tensor params, Tensor box, TRACE_RULE, int64_t num_levels,
                                          int64_t base_resolution, double growth,
                                          int64_t log2_table_size, bool smoothstep, int64_t kernels,
                                          int64_t channels, bool affine, double factor,
                                          int64_t output_activation, int64_t columns,
                                          std::optional<Tensor> cancel) {
  checked_traced_rays(origins, directions, table, columns);
  const Ask ask = [&](const Tensor& coords) {
    return grid_rbf(coords, table, params, num_levels, base_resolution, growth, log2_table_size,
                    smoothstep, kernels, channels, affine, factor, output_activation, std::nullopt);
  };
  return trace(checked_trace(TRACE_ARGUMENTS), origins, directions, channels, ask, cancel);
}

}  // namespace
}  // namespace fields::cuda

STABLE_TORCH_LIBRARY_IMPL(fields, CUDA, m) {
  m.impl("trace_grid_mlp", TORCH_BOX(&fields::cuda::trace_grid_mlp));
  m.impl("trace_grid_rbf", TORCH_BOX(&fields::cuda::trace_grid_rbf));
}
