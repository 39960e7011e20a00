// A measurement aid: how many multiply-adds a second all threads together can do.
#include <torch/csrc/stable/library.h>

#include <chrono>

#include "cpu/pack.h"
#include "cpu/parallel.h"
#include "cpu/tensors.h"

namespace fields {
namespace {

// Sixteen (twelve on 16 registers) independent chains hide the latency of the multiply-add.
#if defined(__AVX512F__)
constexpr int kChains = 16;
#else
constexpr int kChains = 12;
#endif

double chain_float(int64_t rounds) {
  Pack chain[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) chain[i] = splat<Pack>(static_cast<float>(i));
  const Pack a = splat<Pack>(0.9999f), b = splat<Pack>(0.0001f);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], a, b);
  }
  float total = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) total += sum(chain[i]);
  return total;
}

#if defined(__AVX512BF16__)
double chain_bf16(int64_t rounds) {
  __m512 chain[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) chain[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3c00);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chain[i] = _mm512_dpbf16_ps(chain[i], a, b);
  }
  float total = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) total += sum(Pack{(Pack::Raw)chain[i]});
  return total;
}
#endif

double fma_peak(double seconds, int64_t precision) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kRounds = 1 << 16;
  double (*chain)(int64_t) = chain_float;
  double per_round = double(kChains) * kWidth;
  if (precision == 1) {
#if defined(__AVX512BF16__)
    chain = chain_bf16;
    per_round *= 2;
#else
    STD_TORCH_CHECK(false, "this instruction set has no bf16 arithmetic");
#endif
  }
  const int workers = num_workers();
  std::atomic<int64_t> done{0};
  std::atomic<int> sink{0};
  const auto start = Clock::now();
  parallel_tasks(workers, [&](int64_t, int) {
    do {  // at least once, however late a thread is woken
      sink.fetch_add(chain(kRounds) == 12345.0);
      done.fetch_add(kRounds);
    } while (std::chrono::duration<double>(Clock::now() - start).count() < seconds);
  });
  return double(done) * per_round / std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace
}  // namespace fields

// No tensor among its arguments: it is registered for every backend.
STABLE_TORCH_LIBRARY_IMPL(fields, CompositeExplicitAutograd, m) {
  m.impl("fma_peak", TORCH_BOX(&fields::fma_peak));
}
