// A run of rays marched front to back through a radiance field, and the samples of it that count.
//
// Rays go forward in waves: each takes its next few samples, all samples of the wave are encoded
// and their densities evaluated, and rays whose transmittance is used up take no more. A sample is
// kept where its weight is at least `min_weight`, and counts as empty elsewhere; what is computed
// behind (colours, gradients) is computed for the kept ones alone, and needs no tape of the others.
// Kept samples lie in the order of waves and, within a wave, of rays: those of one ray are in order
// but not side by side.
#pragma once

#include <optional>
#include <vector>

#include "cpu/radiance.h"
#include "cpu/ray_walks.h"
#include "cpu/stage_clock.h"
#include "maths/composite.h"

namespace fields {

// What rays are marched through.
struct MarchedField {
  const MarchRule& rule;
  const Occupancy& occupancy;
  const MarchLimits& limits;
  const GridTable<float>& table;
};

// Of a step, as STAGES in fields/ops/radiance.py; those of a march are the first four.
enum Stage { kWalk, kEncode, kDensity, kKeep, kColour, kTable, kStages };
using RadianceStages = StageSums<kStages>;

constexpr int kRunRays = RayWalks::kMost;  // at most
constexpr int kWaveSamples = 8;            // of a ray in a wave, at least
constexpr int kPictureWave = 4;            // of a picture, most of whose rays end soon

// What of a tile of samples is no matrix. Coordinates are [dim][kTile].
struct SampleTile {
  float coords[4 * kTile];
  float t[kTile], dt[kTile];
  float weight[kTile];  // of a sample that is kept
  int32_t ray[kTile];   // number in the run
};

// Directions [3][kTile] of a tile's rays; `along` [rays of the run][3].
inline void load_directions(const SampleTile& tile, const float* along, float* directions) {
  for (int s = 0; s < kTile; ++s) {
    for (int d = 0; d < 3; ++d) directions[d * kTile + s] = along[3 * tile.ray[s] + d];
  }
}

// Matrices [rows][kTile] of a growing number of tiles. Capacities are powers of two, so that blocks
// of memory come back.
class TileRows {
 public:
  explicit TileRows(int rows) : size_(size_t(rows) * kTile) {}

  float* operator[](int64_t tile) { return data_->data() + tile * size_; }
  const float* operator[](int64_t tile) const { return data_->data() + tile * size_; }

  void reserve(int64_t tiles) {
    if (tiles <= capacity_) return;
    int64_t capacity = std::max<int64_t>(capacity_, 8);
    while (capacity < tiles) capacity *= 2;
    Scratch<float> grown(capacity * size_);
    if (data_) std::memcpy(grown.data(), data_->data(), capacity_ * size_ * sizeof(float));
    data_.emplace(std::move(grown));
    capacity_ = capacity;
  }

 private:
  size_t size_;
  int64_t capacity_ = 0;
  std::optional<Scratch<float>> data_;
};

// The kept samples of a run, and what is left of its rays.
struct KeptSamples {
  explicit KeptSamples(int feature_rows) : rows(feature_rows), features(feature_rows) {}

  int64_t tiles() const { return num_tiles(count); }

  void keep(const SampleTile& from, const float* from_features, int lane, int32_t ray,
            float weight) {
    const int to = static_cast<int>(count % kTile);
    if (to == 0) {
      facts.emplace_back();
      features.reserve(tiles() + 1);
    }
    SampleTile& tile = facts.back();
    for (int d = 0; d < 4; ++d) tile.coords[d * kTile + to] = from.coords[d * kTile + lane];
    tile.t[to] = from.t[lane];
    tile.dt[to] = from.dt[lane];
    tile.weight[to] = weight;
    tile.ray[to] = ray;
    float* matrix = features[count / kTile];
    for (int r = 0; r < rows; ++r) matrix[r * kTile + to] = from_features[r * kTile + lane];
    ++count;
  }

  // Zeros behind the last sample, where nothing is to be read that is not a number.
  void pad() {
    if (count % kTile == 0) return;
    float* matrix = features[count / kTile];
    for (int64_t to = count % kTile; to < kTile; ++to) {
      for (int r = 0; r < rows; ++r) matrix[r * kTile + to] = 0.0f;
    }
  }

  int rows;
  int64_t count = 0, marched = 0;
  TileRows features;
  std::vector<SampleTile> facts;  // a tile is zeros until samples are put there
  float transmittance[kRunRays];
};

// Marches runs; one thread's workspace. `Decoder` as in radiance.h.
template <class Decoder>
class RayMarcher {
 public:
  RayMarcher(const RayBatch& batch, const float* times, const MarchedField& field,
             const typename Decoder::Weights& weights, RadianceStages* stages = nullptr,
             const RaySpans* spans = nullptr)
      : batch_(batch),
        times_(times),
        field_(field),
        weights_(weights),
        density_(weights),
        features_(field.table.outputs()),
        least_wave_(spans ? kPictureWave : kWaveSamples),
        spans_(spans),
        clock_(stages) {}

  // Rays [first, first + rays), at most kRunRays.
  void march(int64_t first, int rays, KeptSamples& kept) {
    std::fill_n(kept.transmittance, kRunRays, 1.0f);
    active_.clear();
    clock_.begin();
    walks_.begin(field_.rule, field_.occupancy, batch_, first, rays, spans_,
                 [&](int r, const RayWalk<float>& walk) { active_.push_back({walk, r, 0}); });
    while (const int samples = take_wave(first)) {
      clock_.lap(kWalk);
      kept.marched += samples;
      encode(samples);
      clock_.lap(kEncode);
      evaluate(samples);
      clock_.lap(kDensity);
      keep_wave(kept);
      clock_.lap(kKeep);
    }
    kept.pad();
  }

 private:
  struct Active {
    RayWalk<float> walk;
    int32_t ray;
    int count;  // samples in this wave
  };

  // The next samples of all active rays; those without any leave.
  int take_wave(int64_t first) {
    int samples = 0;
    size_t left = 0;
    MarchSample sample;
    // Few rays fill a tile: its lanes cost the same if they are empty.
    const int active_rays = static_cast<int>(active_.size());
    wave_samples_ = active_rays ? std::max(least_wave_, kTile / active_rays) : least_wave_;
    for (Active& active : active_) {
      const float time = times_ ? times_[first + active.ray] : 0.0f;
      active.count = 0;
      while (active.count < wave_samples_ &&
             next_sample(field_.rule, field_.occupancy, active.walk, sample)) {
        const int lane = samples % kTile;
        if (size_t(samples / kTile) == wave_.size()) wave_.emplace_back();
        SampleTile& tile = wave_[samples / kTile];
        for (int d = 0; d < 3; ++d) tile.coords[d * kTile + lane] = sample.coords[d];
        tile.coords[3 * kTile + lane] = time;
        tile.t[lane] = sample.t;
        tile.dt[lane] = sample.dt;
        ++active.count, ++samples;
      }
      if (active.count) active_[left++] = active;
    }
    active_.resize(left);
    return samples;
  }

  void encode(int samples) {
    const int64_t tiles = num_tiles(samples);
    features_.reserve(tiles);
    field_.table.encode_each(
        tiles, [&](int64_t t) { return wave_[t].coords; }, [&](int64_t t) { return features_[t]; });
  }

  // In place of weights, what each sample lets pass.
  void evaluate(int samples) {
    for (int64_t t = 0; t < num_tiles(samples); ++t) {
      SampleTile& tile = wave_[t];
      density_.forward(weights_, features_[t], tile.weight);
      for (int s = 0; s < kTile; s += kWidth) {
        const Pack density = density_of(load<Pack>(tile.weight + s));
        store(tile.weight + s, passed(density, load<Pack>(tile.dt + s)));
      }
    }
  }

  void keep_wave(KeptSamples& kept) {
    int sample = 0;
    size_t left = 0;
    for (Active& active : active_) {
      float transmittance = kept.transmittance[active.ray];
      for (int i = sample; i < sample + active.count; ++i) {
        const SampleTile& tile = wave_[i / kTile];
        const float pass = tile.weight[i % kTile];
        const float weight = transmittance * (1.0f - pass);
        if (weight < field_.limits.min_weight) continue;  // NaN is kept, and reaches the loss
        kept.keep(tile, features_[i / kTile], i % kTile, active.ray, weight);
        transmittance *= pass;
        if (transmittance < field_.limits.min_transmittance) break;
      }
      sample += active.count;
      kept.transmittance[active.ray] = transmittance;
      const bool goes_on =
          active.count == wave_samples_ && transmittance >= field_.limits.min_transmittance;
      if (goes_on) active_[left++] = active;
    }
    active_.resize(left);
  }

  const RayBatch& batch_;
  const float* times_;  // [rays], the fourth coordinate of a moving scene, or null
  MarchedField field_;
  const typename Decoder::Weights& weights_;
  typename Decoder::Density density_;
  TileRows features_;
  int least_wave_, wave_samples_ = kWaveSamples;
  std::vector<SampleTile> wave_;
  std::vector<Active> active_;
  RayWalks walks_;
  const RaySpans* spans_;  // or null
  StageClock<kStages> clock_;
};

}  // namespace fields
