// The op of coordinate-aware modulation, and its backward.
#include "cpu/modulation.h"

#include <torch/csrc/stable/library.h>

#include "cpu/checked_modulation.h"
#include "cpu/parallel.h"

namespace fields {
namespace {

// Rows that one task takes, in whole groups.
int64_t groups_of_task(const Modulation& m) {
  const int64_t rows = std::max<int64_t>(1, 16384 / std::max(m.features, 1));
  return std::max<int64_t>(1, rows / std::max<int64_t>(m.group, 1));
}

// Tasks of a backward, each with grids of its own for its gradients; a function of shapes alone, so
// that the sums do not depend on the number of threads.
int64_t backward_tasks(const Modulation& m, int64_t groups) {
  constexpr int64_t kMostNumbers = int64_t(1) << 22;
  const int64_t by_work = groups / groups_of_task(m);
  const int64_t by_memory = kMostNumbers / (2 * m.grid_size());
  return std::max<int64_t>(1, std::min<int64_t>({by_work, by_memory, 64}));
}

template <class S>
void forward(const Modulation& m, const Tensor& h, const Tensor& positions, const Tensor& gamma,
             const Tensor& beta, const Tensor& out) {
  const int64_t rows = std::max<int64_t>(m.group, 1), groups = h.size(0) / rows;
  const S *in = read<S>(h), *p = read<S>(positions), *g = read<S>(gamma), *b = read<S>(beta);
  S* values = write<S>(out);
  const int64_t run = groups_of_task(m);
  parallel_tasks((groups + run - 1) / run, [&](int64_t task, int) {
    RowModulation<S> modulation(m, g, b);
    for (int64_t i = task * run; i < std::min(groups, (task + 1) * run); ++i) {
      const int64_t first = i * rows;
      modulation.forward(in + first * m.features, p + first * m.grid.dim, rows,
                         values + first * m.features);
    }
  });
}

template <class S>
void backward(const Modulation& m, const Tensor& grad, const Tensor& h, const Tensor& positions,
              const Tensor& gamma, const Tensor& beta, const Tensor& grad_h,
              const Tensor& grad_positions, const Tensor& grad_gamma, const Tensor& grad_beta) {
  const int64_t rows = std::max<int64_t>(m.group, 1), groups = h.size(0) / rows;
  const S *in = read<S>(h), *p = read<S>(positions), *g = read<S>(gamma), *b = read<S>(beta);
  const S* above = read<S>(grad);
  S* below = write<S>(grad_h);
  S* below_p = grad_positions.size(0) ? write<S>(grad_positions) : nullptr;
  const int64_t tasks = backward_tasks(m, groups), size = m.grid_size();
  Scratch<S> partial(size_t(tasks) * 2 * size);
  Phases phases;
  phases.add(tasks, [&](int64_t task, int) {
    S* sums = partial.data() + task * 2 * size;
    std::memset(sums, 0, 2 * size * sizeof(S));
    RowModulation<S> modulation(m, g, b);
    for (int64_t i = groups * task / tasks; i < groups * (task + 1) / tasks; ++i) {
      const int64_t first = i * rows, at = first * m.features;
      modulation.backward(above + at, in + at, p + first * m.grid.dim, rows, below + at,
                          below_p ? below_p + first * m.grid.dim : nullptr, sums, sums + size);
    }
  });
  // Added up in the order of the tasks, a stretch of the grids at a time.
  constexpr int64_t kStretch = 4096;
  S* outs[2] = {write<S>(grad_gamma), write<S>(grad_beta)};
  phases.add((size + kStretch - 1) / kStretch, [&](int64_t stretch, int) {
    const int64_t first = stretch * kStretch, last = std::min(size, first + kStretch);
    for (int which = 0; which < 2; ++which) {
      for (int64_t i = first; i < last; ++i) outs[which][i] = S(0);
      for (int64_t task = 0; task < tasks; ++task) {
        const S* sums = partial.data() + (task * 2 + which) * size;
        for (int64_t i = first; i < last; ++i) outs[which][i] += sums[i];
      }
    }
  });
  phases.run();
}

Tensor modulate(Tensor h, Tensor positions, Tensor gamma, Tensor beta, int64_t group,
                int64_t activation, double omega) {
  const Modulation m = checked_modulation(h, positions, gamma, beta, group, activation, omega);
  Tensor out = empty_of(h, {h.size(0), h.size(1)});
  const auto run = is_double(h) ? forward<double> : forward<float>;
  run(m, h, positions, gamma, beta, out);
  return out;
}

std::tuple<Tensor, Tensor, Tensor, Tensor> modulate_backward(Tensor grad, Tensor h,
                                                             Tensor positions, Tensor gamma,
                                                             Tensor beta, int64_t group,
                                                             int64_t activation, double omega,
                                                             bool need_positions) {
  const Modulation m = checked_modulation(h, positions, gamma, beta, group, activation, omega);
  STD_TORCH_CHECK(grad.numel() == h.numel(), "the gradient must have the shape of h");
  Tensor grad_h = empty_of(h, {h.size(0), h.size(1)});
  Tensor grad_positions = empty_of(positions, {need_positions ? h.size(0) : 0, positions.size(1)});
  Tensor grad_gamma = torch::stable::new_empty(gamma, gamma.sizes());
  Tensor grad_beta = torch::stable::new_empty(beta, beta.sizes());
  const auto run = is_double(h) ? backward<double> : backward<float>;
  run(m, grad, h, positions, gamma, beta, grad_h, grad_positions, grad_gamma, grad_beta);
  return {grad_h, grad_positions, grad_gamma, grad_beta};
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) {
  m.impl("modulate", TORCH_BOX(&fields::modulate));
  m.impl("modulate_backward", TORCH_BOX(&fields::modulate_backward));
}
