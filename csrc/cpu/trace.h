// Rays walked to the surface of a distance field, a tile of them at a time, in cache.
//
// A lane whose ray has ended takes the next one, so that tiles are full until the picture ends.
// Rays are taken a small square of the picture after the other: those of a tile read the same rows
// of the table. Before, one cone for each square finds out how far the way of its rays is free.
#pragma once

#include <atomic>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/squares.h"
#include "cpu/tile_grid.h"
#include "maths/trace.h"

namespace fields {

constexpr int kSquareSide = 8;
using TracedSquares = Squares<kSquareSide>;
// Squares that a thread takes at once.
constexpr int64_t kSquaresAtOnce = 4;

struct TracedRays {
  const float *origins, *directions;  // [rays][3], or one origin
  bool one_origin;

  const float* origin(int64_t ray) const { return origins + (one_origin ? 0 : 3 * ray); }
  const float* direction(int64_t ray) const { return directions + 3 * ray; }
};

struct TracedSurface {
  float* t;        // [rays], infinite where there is none
  float* normals;  // [rays][3], or null
};

// Of the rays of a square, whole or cut off by the picture's edge, one near the middle.
inline int middle_of(int count) { return count == TracedSquares::most ? 36 : count / 2; }

// A cone around the rays of a square.
inline RayCone cone_of(const TracedRays& rays, const int64_t* numbers, int count) {
  RayCone cone{};
  const int64_t middle = numbers[middle_of(count)];
  const float *o = rays.origin(middle), *d = rays.direction(middle);
  float apart2 = 0.0f, spread2 = 0.0f;
  for (int i = 0; i < 3; ++i) {
    cone.origin[i] = o[i];
    cone.direction[i] = d[i];
  }
  for (int r = 0; r < count; ++r) {
    const float *p = rays.origin(numbers[r]), *q = rays.direction(numbers[r]);
    float a = 0.0f, s = 0.0f;
    for (int i = 0; i < 3; ++i) {
      a = fma(p[i] - o[i], p[i] - o[i], a);
      s = fma(q[i] - d[i], q[i] - d[i], s);
    }
    apart2 = max(a, apart2);
    spread2 = max(s, spread2);
  }
  cone.apart = sqrt(apart2);
  cone.spread = sqrt(spread2);
  return cone;
}

// Without room for a backward, where there is a choice.
template <class Decoder>
Decoder for_values(const typename Decoder::Shape& shape) {
  if constexpr (std::is_constructible_v<Decoder, const typename Decoder::Shape&, bool>) {
    return Decoder(shape, false);
  } else {
    return Decoder(shape);
  }
}

// One thread's workspace.
template <class Decoder>
class FieldTracer {
 public:
  FieldTracer(const TraceRule& rule, const TracedRays& rays, const TracedSquares& squares,
              const GridTable<float>& table, const typename Decoder::Shape& shape,
              const typename Decoder::Packed& packed, const volatile uint8_t* cancel)
      : rule_(rule),
        rays_(rays),
        squares_(squares),
        table_(table),
        packed_(packed),
        cancel_(cancel),
        decoder_(for_values<Decoder>(shape)),
        features_(size_t(table.outputs()) * kTile) {}

  // How far the way of each square's rays is free: infinite where they meet nothing.
  void trace_cones(std::atomic<int64_t>& next, float* free) {
    struct Cone : RayCone {
      int64_t square;
    };
    const auto take = [&](Cone& cone) {
      for (int64_t square; (square = take_square(next)) >= 0;) {
        static_cast<RayCone&>(cone) = cone_of(rays_, numbers_, count_);
        cone.square = square;
        if (begin_cone(rule_, cone)) return true;
        free[square] = INFINITY;
      }
      return false;
    };
    walk_all<Cone>(take, [&](const Cone& cone, Walk end) {
      free[cone.square] = end == Walk::hit ? cone.t : INFINITY;
    });
  }

  // `free`: of each square, or null.
  void trace_rays(std::atomic<int64_t>& next, const float* free, const TracedSurface& surface) {
    struct Ray : TracedRay {
      int64_t number;
    };
    surface_ = surface;
    count_ = taken_ = 0;
    float free_here = 0.0f;
    const auto take = [&](Ray& ray) {
      for (;;) {
        for (; taken_ < count_;) {
          ray.number = numbers_[taken_++];
          const float *o = rays_.origin(ray.number), *d = rays_.direction(ray.number);
          if (begin_ray(rule_, o, d, free_here, ray)) return true;
          miss(ray.number);
        }
        const int64_t square = take_square(next);
        if (square < 0) return false;
        free_here = free ? free[square] : 0.0f;
        if (free_here < INFINITY) continue;
        for (; taken_ < count_;) miss(numbers_[taken_++]);
      }
    };
    walk_all<Ray>(take, [&](const Ray& ray, Walk end) {
      if (end == Walk::missed) return miss(ray.number);
      surface_.t[ray.number] = ray.t;
      if (surface_.normals) found_.push_back({ray.number, ray.t});
    });
    if (!found_.empty()) find_normals(static_cast<int>(found_.size()));
  }

 private:
  struct Found {
    int64_t ray;
    float t;
  };

  // The next square, its rays in numbers_; negative behind the last.
  int64_t take_square(std::atomic<int64_t>& next) {
    if (square_ == last_square_) {
      square_ = next.fetch_add(kSquaresAtOnce, std::memory_order_relaxed);
      last_square_ = square_ + kSquaresAtOnce;
    }
    if (square_ >= squares_.count()) {
      square_ = last_square_ = 0;
      return -1;
    }
    count_ = squares_.rays_of(square_, numbers_);
    taken_ = 0;
    return square_++;
  }

  void miss(int64_t ray) {
    surface_.t[ray] = INFINITY;
    if (surface_.normals) std::memset(surface_.normals + 3 * ray, 0, 3 * sizeof(float));
  }

  // Walks all that `take` gives, a tile at a time; end(walk, how) for each.
  template <class T, class Take, class End>
  void walk_all(const Take& take, const End& end) {
    T walks[kTile];
    int count = 0;
    while (count < kTile && take(walks[count])) ++count;
    std::fill_n(places_, 3 * kTile, 0.0f);
    while (count) {
      if (cancel_ && *cancel_) return;
      for (int i = 0; i < count; ++i) place(i, walks[i], walks[i].t);
      ask();
      for (int i = 0; i < count;) {
        const Walk walk = step_on(rule_, values_[i], walks[i]);
        if (walk != Walk::on) {
          end(walks[i], walk);
          if (!take(walks[i])) {
            walks[i] = walks[--count];
            values_[i] = values_[count];
            continue;
          }
        }
        ++i;
      }
      while (found_.size() >= kTile) find_normals(kTile);
    }
  }

  template <class T>
  void place(int lane, const T& ray, float t) {
    for (int d = 0; d < 3; ++d) {
      const float x = fma(t, ray.direction[d], ray.origin[d]);
      places_[d * kTile + lane] = min(max(x, 0.0f), 1.0f);
    }
  }

  void ask() {
    table_.encode(places_, 1, features_.data());
    decoder_.forward(packed_, features_.data(), values_);
  }

  // Of the last `count` that were found, by central differences.
  void find_normals(int count) {
    const Found* found = found_.data() + found_.size() - count;
    alignas(64) float at[3 * kTile] = {}, slopes[3 * kTile];
    for (int i = 0; i < count; ++i) {
      const float *o = rays_.origin(found[i].ray), *d = rays_.direction(found[i].ray);
      for (int a = 0; a < 3; ++a) at[a * kTile + i] = fma(found[i].t - rule_.back, d[a], o[a]);
    }
    for (int axis = 0; axis < 3; ++axis) {
      float* slope = slopes + axis * kTile;
      for (int sign = 1; sign >= -1; sign -= 2) {
        for (int i = 0; i < 3 * kTile; ++i) {
          const float x = i / kTile == axis ? at[i] + float(sign) * rule_.offset : at[i];
          places_[i] = min(max(x, 0.0f), 1.0f);
        }
        ask();
        for (int i = 0; i < kTile; ++i) slope[i] = sign > 0 ? values_[i] : slope[i] - values_[i];
      }
    }
    for (int i = 0; i < count; ++i) {
      float length2 = 0.0f;
      for (int a = 0; a < 3; ++a) {
        length2 = fma(slopes[a * kTile + i], slopes[a * kTile + i], length2);
      }
      const float scale = 1.0f / max(sqrt(length2), 1e-12f);
      float* normal = surface_.normals + 3 * found[i].ray;
      for (int a = 0; a < 3; ++a) normal[a] = scale * slopes[a * kTile + i];
    }
    found_.resize(found_.size() - count);
  }

  const TraceRule& rule_;
  const TracedRays& rays_;
  const TracedSquares& squares_;
  const GridTable<float>& table_;
  const typename Decoder::Packed& packed_;
  const volatile uint8_t* cancel_;
  Decoder decoder_;
  Scratch<float> features_;
  TracedSurface surface_{};
  int64_t square_ = 0, last_square_ = 0;  // the next one, and where those that were taken end
  int64_t numbers_[TracedSquares::most];
  int count_ = 0, taken_ = 0;  // rays of the square, and how many are on their way
  std::vector<Found> found_;   // without a normal yet
  alignas(64) float places_[3 * kTile];
  alignas(64) float values_[kTile];
};

}  // namespace fields
