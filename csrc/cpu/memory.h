// How packs meet memory: rows of a table gathered and scattered, blocks transposed, scratch.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>

#include "cpu/pack.h"

namespace fields {

// Uninitialised scratch on a cache line; owned by one task or one op call.
template <class T>
class Scratch {
 public:
  explicit Scratch(size_t count) : count_(count) {
    const size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    data_.reset(static_cast<T*>(std::aligned_alloc(64, bytes ? bytes : 64)));
    if (!data_) throw std::bad_alloc();
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T& operator[](size_t i) { return data_.get()[i]; }
  size_t size() const { return count_; }
  void zero() { std::memset(data_.get(), 0, count_ * sizeof(T)); }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t count_;
};

namespace detail {

// out[f] = base[row * F + f] for each sample of the pack.
template <int F>
struct Rows {
  // Pairs of features travel as one 64-bit number: half the loads. On the machines measured scalar
  // loads are as fast as gather instructions.
  static FIELDS_HD void gather(const float* base, PackInt rows, Pack (&out)[F]) {
    alignas(64) uint32_t row[kWidth];
    store_int(row, rows);
#pragma GCC unroll 4
    for (int f = 0; f < F; f += 2) {
#if defined(__AVX512F__)
      const __m512i index = (__m512i)(rows.v * (F / 2));
      const double* pairs = reinterpret_cast<const double*>(base + f);
      const Pack low = {(Pack::Raw)_mm512_i32gather_pd(_mm512_castsi512_si256(index), pairs, 8)};
      const Pack high = {
          (Pack::Raw)_mm512_i32gather_pd(_mm512_extracti64x4_epi64(index, 1), pairs, 8)};
#else
      alignas(64) float pair[2 * kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; ++i) {
        std::memcpy(pair + 2 * i, base + size_t(row[i]) * F + f, 8);
      }
      const Pack low = load<Pack>(pair), high = load<Pack>(pair + kWidth);
#endif
      out[f] = even_lanes(low, high);
      out[f + 1] = odd_lanes(low, high);
    }
  }

  // [F] packs -> the F values of a sample side by side, sample after sample.
  static FIELDS_HD void store_interleaved(const Pack (&values)[F], float* out) {
    Pack lanes[F];
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) lanes[f] = values[f];
#pragma GCC unroll 3
    for (int block = 1; block < F; block *= 2) {
      Pack next[F];
#pragma GCC unroll 4
      for (int f = 0; f < F / 2; ++f) {
        next[2 * f] = interleave_low(lanes[f], lanes[f + F / 2]);
        next[2 * f + 1] = interleave_high(lanes[f], lanes[f + F / 2]);
      }
#pragma GCC unroll 8
      for (int f = 0; f < F; ++f) lanes[f] = next[f];
    }
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) store<Pack>(out + f * kWidth, lanes[f]);
  }
};

template <>
struct Rows<1> {
  static FIELDS_HD void gather(const float* base, PackInt rows, Pack (&out)[1]) {
    alignas(64) uint32_t row[kWidth];
    store_int(row, rows);
    for (int i = 0; i < kWidth; ++i) out[0].v[i] = base[row[i]];
  }
  static FIELDS_HD void store_interleaved(const Pack (&values)[1], float* out) {
    store<Pack>(out, values[0]);
  }
};

}  // namespace detail

template <int F>
FIELDS_HD void gather_rows(const float* base, PackInt rows, Pack (&out)[F]) {
  detail::Rows<F>::gather(base, rows, out);
}
template <int F>
FIELDS_HD void gather_rows(const double* base, uint32_t row, double (&out)[F]) {
  for (int f = 0; f < F; ++f) out[f] = base[size_t(row) * F + f];
}
// Adds the corners of a pack of cells to their rows. All corners of one sample come before the next
// sample: they are different rows, so successive additions do not wait for one another, as they
// would where neighbouring samples share a row (59 against 89 ns a sample, 16 levels x 2).
template <int Corners, int F, class V>
class RowScatter {
 public:
  using S = ScalarOf<V>;
  static constexpr int width = Lane<V>::width;

  FIELDS_HD void set(int corner, IntOf<V> rows, const V (&values)[F]) {
    store_int(rows_[corner], rows);
    if constexpr (width > 1) {
      detail::Rows<F>::store_interleaved(values, values_[corner]);
    } else {
      for (int f = 0; f < F; ++f) values_[corner][f] = values[f];
    }
  }

  FIELDS_HD void add_to(S* base) const {
    typedef S Row __attribute__((vector_size(sizeof(S) * F)));
    for (int i = 0; i < width; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < Corners; ++c) {
        S* target = base + size_t(rows_[c][i]) * F;
        if constexpr (F == 1) {
          *target += values_[c][i];
        } else {
          Row sum, add;
          std::memcpy(&sum, target, sizeof(Row));
          std::memcpy(&add, values_[c] + i * F, sizeof(Row));
          sum += add;
          std::memcpy(target, &sum, sizeof(Row));
        }
      }
    }
  }

  // flags[row * F / Floats] = 1
  template <int Floats>
  FIELDS_HD void raise_flags(uint8_t* flags) const {
    for (int c = 0; c < Corners; ++c) {
      for (int i = 0; i < width; ++i) flags[size_t(rows_[c][i]) * F / Floats] = 1;
    }
  }

 private:
  alignas(64) uint32_t rows_[Corners][width];
  alignas(64) S values_[Corners][width * F];
};

namespace detail {

// A square of one pack's width, transposed by rounds of interleaving.
FIELDS_HD void transpose_square(const float* in, size_t in_stride, float* out, size_t out_stride) {
  Pack row[kWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) row[i] = load<Pack>(in + i * in_stride);
#pragma GCC unroll 4
  for (int round = 1; round < kWidth; round *= 2) {
    Pack next[kWidth];
#pragma GCC unroll 8
    for (int i = 0; i < kWidth / 2; ++i) {
      next[2 * i] = interleave_low(row[i], row[i + kWidth / 2]);
      next[2 * i + 1] = interleave_high(row[i], row[i + kWidth / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kWidth; ++i) row[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; ++i) store<Pack>(out + i * out_stride, row[i]);
}

}  // namespace detail

// out[c][r] = in[r][c]
template <class T>
inline void transpose(const T* in, size_t in_stride, T* out, size_t out_stride, int rows,
                      int columns) {
  int whole_rows = 0, whole_columns = 0;
  if constexpr (std::is_same_v<T, float>) {
    whole_rows = rows / kWidth * kWidth;
    whole_columns = columns / kWidth * kWidth;
    for (int r = 0; r < whole_rows; r += kWidth) {
      for (int c = 0; c < whole_columns; c += kWidth) {
        detail::transpose_square(in + r * in_stride + c, in_stride, out + c * out_stride + r,
                                 out_stride);
      }
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
      out[c * out_stride + r] = in[r * in_stride + c];
    }
  }
}

}  // namespace fields
