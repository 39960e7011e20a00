// Fourier features.
#include "maths/fourier.h"

#include <torch/csrc/stable/library.h>

#include "cpu/memory.h"
#include "cpu/pack_maths.h"
#include "cpu/parallel.h"
#include "cpu/tensors.h"

namespace fields {
namespace {

constexpr int64_t kRun = 256;  // points of a task

// coords [points][dim], frequencies [count][dim] -> out [points][2 count]. Frequencies lie across
// lanes; behind the last one they are padded.
template <class V>
void fourier(const Tensor& coords, const Tensor& frequencies, const Tensor& out) {
  using S = ScalarOf<V>;
  constexpr int width = Lane<V>::width;
  const int64_t points = coords.size(0), dim = coords.size(1), count = frequencies.size(0);
  const int64_t padded = (count + width - 1) / width * width;
  const S* x = read<S>(coords);
  S* values = write<S>(out);
  Scratch<S> columns(dim * padded);
  columns.zero();
  transpose(read<S>(frequencies), dim, columns.data(), padded, static_cast<int>(count),
            static_cast<int>(dim));
  parallel_tasks((points + kRun - 1) / kRun, [&](int64_t task, int) {
    for (int64_t n = task * kRun; n < std::min(points, (task + 1) * kRun); ++n) {
      S* row = values + n * 2 * count;
      for (int64_t m = 0; m < count; m += width) {
        V turns = splat<V>(S(0)), cosine, sine;
        for (int64_t d = 0; d < dim; ++d) {
          turns = fma(splat<V>(x[n * dim + d]), load<V>(columns.data() + d * padded + m), turns);
        }
        fourier_pair(turns, cosine, sine);
        const size_t bytes = std::min<int64_t>(width, count - m) * sizeof(S);
        std::memcpy(row + m, &cosine, bytes);
        std::memcpy(row + count + m, &sine, bytes);
      }
    }
  });
}

Tensor fourier_op(Tensor coords, Tensor frequencies) {
  STD_TORCH_CHECK(
      coords.dim() == 2 && frequencies.dim() == 2 && coords.size(1) == frequencies.size(1),
      "coords must be [N, D] and frequencies [M, D]");
  Tensor out = empty_of(coords, {coords.size(0), 2 * frequencies.size(0)});
  is_double(coords) ? fourier<double>(coords, frequencies, out)
                    : fourier<Pack>(coords, frequencies, out);
  return out;
}

}  // namespace
}  // namespace fields

STABLE_TORCH_LIBRARY_IMPL(fields, CPU, m) { m.impl("fourier", TORCH_BOX(&fields::fourier_op)); }
