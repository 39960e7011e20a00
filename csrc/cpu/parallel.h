// Work dealt to torch's threads. Tasks are taken from a counter, so that a slow core takes fewer;
// what a task computes depends on its number alone, so results do not depend on who took it.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <atomic>

namespace fields {

inline int num_workers() { return static_cast<int>(torch::stable::get_num_threads()); }

// Calls body(task, worker) for each task in [0, tasks), worker in [0, num_workers()).
template <class Body>
void parallel_tasks(int64_t tasks, const Body& body) {
  const int64_t workers = std::min<int64_t>(tasks, num_workers());
  if (workers <= 1) {
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
    return;
  }
  std::atomic<int64_t> next{0};
  torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
    for (int64_t worker = begin; worker < end; ++worker) {
      for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
        body(task, static_cast<int>(worker));
      }
    }
  });
}

}  // namespace fields
