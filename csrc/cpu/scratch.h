// Memory of a task or of an op call.
#pragma once

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

namespace fields {

// Large blocks, kept from one call to the next. The C library gives them back to the system, and
// faulting their pages in again took a fifth of a training step's time (16,384 samples, 5 MB).
class SpareBlocks {
 public:
  static constexpr size_t kLeast = size_t(1) << 16;  // bytes of a block worth keeping
  static constexpr size_t kMost = size_t(1) << 27;   // bytes of all that are kept

  static SpareBlocks& instance() {
    static SpareBlocks* blocks = new SpareBlocks;  // outlives every thread
    return *blocks;
  }

  // A block of exactly that size, or null.
  void* take(size_t bytes) {
    if (bytes < kLeast || busy_.test_and_set(std::memory_order_acquire)) return nullptr;
    void* found = nullptr;
    for (Block& block : blocks_) {
      if (block.bytes != bytes) continue;
      found = block.data;
      kept_ -= bytes;
      block = {};
      break;
    }
    busy_.clear(std::memory_order_release);
    return found;
  }

  // False if the block is not kept.
  bool give(void* data, size_t bytes) {
    if (bytes < kLeast || bytes > kMost || busy_.test_and_set(std::memory_order_acquire)) {
      return false;
    }
    if (kept_ + bytes > kMost) {
      for (Block& block : blocks_) drop(block);
    }
    Block* place = blocks_;
    while (place < blocks_ + kSlots && place->data) ++place;
    if (place == blocks_ + kSlots) {
      place = blocks_ + next_++ % kSlots;
      drop(*place);
    }
    *place = {data, bytes};
    kept_ += bytes;
    busy_.clear(std::memory_order_release);
    return true;
  }

 private:
  static constexpr int kSlots = 32;
  struct Block {
    void* data;
    size_t bytes;
  };

  void drop(Block& block) {
    std::free(block.data);
    kept_ -= block.bytes;
    block = {};
  }

  Block blocks_[kSlots] = {};
  size_t kept_ = 0;
  unsigned next_ = 0;
  // Only ever tried, never waited for: a child forked while it was held goes without.
  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
};

// Uninitialised memory on a cache line; owned by one task or one op call.
template <class T>
class Scratch {
 public:
  explicit Scratch(size_t count) : count_(count) {
    void* data = SpareBlocks::instance().take(bytes());
    if (!data) data = std::aligned_alloc(64, bytes());
    if (!data) throw std::bad_alloc();
    data_ = static_cast<T*>(data);
  }
  ~Scratch() {
    if (data_ && !SpareBlocks::instance().give(data_, bytes())) std::free(data_);
  }
  Scratch(Scratch&& other) noexcept : data_(other.data_), count_(other.count_) {
    other.data_ = nullptr;
  }
  Scratch& operator=(Scratch&&) = delete;

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return count_; }
  void zero() { std::memset(data_, 0, count_ * sizeof(T)); }

 private:
  size_t bytes() const { return count_ ? (count_ * sizeof(T) + 63) / 64 * 64 : 64; }

  T* data_;
  size_t count_;
};

}  // namespace fields
