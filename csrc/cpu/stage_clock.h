// Where the time of an op goes, for benchmarks: nanoseconds of all threads, by stage.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace fields {

template <int kStages>
class StageSums {
 public:
  void add(int stage, int64_t nanoseconds) {
    sums_[stage].fetch_add(nanoseconds, std::memory_order_relaxed);
  }
  int64_t operator[](int stage) const { return sums_[stage].load(); }

 private:
  std::atomic<int64_t> sums_[kStages]{};
};

// One thread's laps; without sums it looks at no clock.
template <int kStages>
class StageClock {
 public:
  explicit StageClock(StageSums<kStages>* sums) : sums_(sums) { begin(); }

  void begin() {
    if (sums_) last_ = std::chrono::steady_clock::now();
  }

  // The time since the last lap was that of `stage`.
  void lap(int stage) {
    if (!sums_) return;
    const auto now = std::chrono::steady_clock::now();
    sums_->add(stage, std::chrono::nanoseconds(now - last_).count());
    last_ = now;
  }

 private:
  StageSums<kStages>* sums_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace fields
