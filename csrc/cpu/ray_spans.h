// Where along rays something may be: most rays of a picture pass by all matter, and the others come
// a long way before it. A pack of rays is compared with the balls around all words of an occupancy
// that are not empty, which costs less than a few steps of its walk.
#pragma once

#include <vector>

#include "cpu/march_tensors.h"
#include "cpu/pack.h"

namespace fields {

class RaySpans {
 public:
  struct Span {
    float near, far;  // nothing is met where near > far
  };

  // Without cascades, contraction and growing steps; otherwise nothing is known.
  RaySpans(const MarchRule& rule, const Occupancy& occupancy)
      : is_known_(occupancy.cascades == 1 && !rule.contract && rule.growth == 0.0f) {
    if (!is_known_) return;
    const int n = occupancy.resolution / 4;  // words along an axis
    const float side = 1.0f / static_cast<float>(n);
    radius_ = 0.8661f * side;
    for (int word = 0; word < n * n * n; ++word) {
      if (!occupancy.words[word]) continue;
      const int at[3] = {word % n, word / n % n, word / (n * n)};
      for (int d = 0; d < 3; ++d) middles_[d].push_back((static_cast<float>(at[d]) + 0.5f) * side);
    }
    for (auto& row : middles_) {
      while (row.size() % kWidth) row.push_back(row.back());
    }
  }

  bool is_known() const { return is_known_; }

  // Of a pack of rays, of which `count` are there.
  //
  // A ray q from p that meets a ball of radius r around c does so at t <= |c - o| + r + |p - o|,
  // for any o; there it is within r + |p - o| + t |q - d| of c as seen along o + t d.
  Span of(const Pack (&origin)[3], const Pack (&direction)[3], int count) const {
    alignas(64) float p[3][kWidth], q[3][kWidth];
    for (int d = 0; d < 3; ++d) store(p[d], origin[d]), store(q[d], direction[d]);
    const int middle = count / 2;
    float apart2 = 0.0f, spread2 = 0.0f;
    for (int i = 0; i < count; ++i) {
      float a = 0.0f, s = 0.0f;
      for (int d = 0; d < 3; ++d) {
        a = fma(p[d][i] - p[d][middle], p[d][i] - p[d][middle], a);
        s = fma(q[d][i] - q[d][middle], q[d][i] - q[d][middle], s);
      }
      apart2 = max(a, apart2);
      spread2 = max(s, spread2);
    }
    const Pack reach = splat<Pack>(1.001f * (radius_ + sqrt(apart2)) + 1e-5f);
    const Pack spread = splat<Pack>(1.001f * sqrt(spread2) + 1e-5f);
    Pack near = splat<Pack>(3e38f), far = splat<Pack>(-1.0f);
    for (size_t i = 0; i < middles_[0].size(); i += kWidth) {
      Pack away2 = splat<Pack>(0.0f), along = splat<Pack>(0.0f);
      for (int d = 0; d < 3; ++d) {
        const Pack to = load<Pack>(middles_[d].data() + i) - splat<Pack>(p[d][middle]);
        away2 = fma(to, to, away2);
        along = fma(to, splat<Pack>(q[d][middle]), along);
      }
      const Pack away = sqrt(away2), last = away + reach;
      const Pack within = fma(last, spread, reach);
      const Pack beside2 = away2 - along * along;
      const auto is_met = (beside2 < within * within) & (splat<Pack>(0.0f) - within < along);
      near = min(select(is_met, away - reach, near), near);
      far = max(select(is_met, last, far), far);
    }
    alignas(64) float lows[kWidth], highs[kWidth];
    store(lows, near), store(highs, far);
    Span span{lows[0], highs[0]};
    for (int i = 1; i < kWidth; ++i) {
      span.near = min(lows[i], span.near);
      span.far = max(highs[i], span.far);
    }
    return span;
  }

 private:
  bool is_known_;
  float radius_ = 0.0f;
  std::vector<float> middles_[3];
};

}  // namespace fields
