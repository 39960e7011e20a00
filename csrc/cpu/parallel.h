// Work dealt to torch's threads. Tasks are taken from a counter, so that a slow core takes fewer;
// what a task computes depends on its number alone, so results do not depend on who took it.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace fields {

inline int num_workers() { return static_cast<int>(torch::stable::get_num_threads()); }

// Sets of tasks, each set begun when the one before is done, within one parallel region: waking
// torch's threads costs tens of microseconds, a small training step less than a millisecond.
//
// However many threads take part, the last one included, all tasks are done: a thread waits only
// for tasks that another one is at work on.
class Phases {
 public:
  // body(task, worker) for each task in [0, tasks), worker in [0, num_workers()).
  void add(int64_t tasks, std::function<void(int64_t, int)> body) {
    phases_.emplace_back(tasks, std::move(body));
  }

  // Runs all phases. An exception of a task ends the rest; its message is thrown again here.
  void run() {
    int64_t most = 1;
    for (const Phase& phase : phases_) most = std::max(most, phase.tasks);
    const int64_t workers = std::min<int64_t>(most, num_workers());
    if (workers <= 1) {
      work(0);
    } else {
      torch::stable::parallel_for(0, workers, 1, [&](int64_t begin, int64_t end) {
        for (int64_t worker = begin; worker < end; ++worker) work(static_cast<int>(worker));
      });
    }
    if (failed_) throw std::runtime_error(error_);
  }

 private:
  struct Phase {
    Phase(int64_t tasks, std::function<void(int64_t, int)> body)
        : tasks(tasks), body(std::move(body)) {}
    int64_t tasks;
    std::function<void(int64_t, int)> body;
    alignas(64) std::atomic<int64_t> next{0};
    alignas(64) std::atomic<int64_t> done{0};
  };

  void work(int worker) {
    for (Phase& phase : phases_) {
      for (int64_t task;
           (task = phase.next.fetch_add(1, std::memory_order_relaxed)) < phase.tasks;) {
        if (failed_.load(std::memory_order_relaxed)) return;
        try {
          phase.body(task, worker);
        } catch (const std::exception& error) {
          const std::lock_guard<std::mutex> lock(mutex_);
          if (error_.empty()) error_ = error.what();
          failed_.store(true);
          return;
        }
        phase.done.fetch_add(1, std::memory_order_release);
      }
      wait(phase);
    }
  }

  // The others are at most a task behind, so a short spin nearly always does; where a processor was
  // taken away, yielding gives it back.
  void wait(const Phase& phase) const {
    for (int spins = 0; phase.done.load(std::memory_order_acquire) < phase.tasks; ++spins) {
      if (failed_.load(std::memory_order_relaxed)) return;
      if (spins > 1000) {
        std::this_thread::yield();
      } else {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
    }
  }

  std::deque<Phase> phases_;
  std::atomic<bool> failed_{false};
  std::string error_;
  std::mutex mutex_;
};

// One set of tasks.
template <class Body>
void parallel_tasks(int64_t tasks, const Body& body) {
  Phases phases;
  phases.add(tasks, std::cref(body));
  phases.run();
}

}  // namespace fields
