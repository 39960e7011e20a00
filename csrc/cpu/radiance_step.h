// One training step of a radiance field on a grid: rays to a loss and back, and Adam.
//
// Three passes, each by all threads: rays are marched, a run at a time, until enough samples are
// kept; colours, loss and gradients of the kept samples, a run at a time, which leaves the gradient
// of the features where the features stood; then a level of the grid at a time, as in train_step.h.
// What a run computes depends on its number alone, and sums go from run to run in order.
#pragma once

#include <atomic>

#include "cpu/ray_run.h"
#include "cpu/train_step.h"

namespace fields {

// What rays are compared with.
struct RayTargets {
  const float *colours, *backgrounds;  // [rays][3]
  const float* weights;                // [rays] of their losses, or null: all 1
  Loss loss;
  float* errors;  // [rays], mean loss over the channels; 0 for rays that are not used
};

template <class Decoder>
struct RadianceState {
  Trained table;
  typename Decoder::Params params;
};

struct RadianceCounts {
  int64_t rays, marched, kept;
};

template <class Decoder>
class RadianceStep {
 public:
  using Shape = typename Decoder::Shape;
  using State = RadianceState<Decoder>;

  // `stages` may be null.
  RadianceStep(const RayBatch& batch, const float* times, const MarchedField& field,
               const Shape& shape, const State& state, const RayTargets& targets, int64_t samples,
               RadianceStages* stages)
      : batch_(batch),
        times_(times),
        field_(field),
        table_(field.table),
        shape_(shape),
        weights_(Decoder::pack(shape, state.params)),
        targets_(targets),
        samples_(samples),
        stages_(stages),
        run_rays_(rays_of_a_run(batch.rays)),
        runs_((batch.rays + run_rays_ - 1) / run_rays_),
        found_(runs_) {
    for (int64_t run = 0; run < runs_; ++run) kept_.emplace_back(table_.outputs());
  }

  const RadianceCounts& counts() const { return counts_; }

  // Marches runs until `samples` are kept.
  void march() {
    parallel_tasks(runs_, [&](int64_t run, int) {
      if (found_before(run) >= samples_) return;
      RayMarcher<Decoder> marcher(batch_, times_, field_, weights_, stages_);
      marcher.march(run * run_rays_, rays_of(run), kept_[run]);
      found_[run].store(kept_[run].count, std::memory_order_release);
    });
    // The same runs whoever was quick: those before the sum is reached.
    used_ = 0;
    while (used_ < runs_ && found_before(used_) < samples_) ++used_;
    counts_.rays = std::min(batch_.rays, used_ * run_rays_);
    for (int64_t run = 0; run < used_; ++run) {
      counts_.marched += kept_[run].marched;
      counts_.kept += kept_[run].count;
    }
  }

  // Gradients of what was kept, and Adam; returns the loss before it. `workspace` as in train_step.
  double learn(const State& state, const Optimiser& optimiser, float* workspace, int64_t slots,
               int64_t slot_floats) {
    const int64_t groups = std::max<int64_t>(1, std::min<int64_t>(used_, kMostGroups));
    const size_t stride = Decoder::sums_size(shape_);
    Scratch<float> sums(groups * stride);
    std::vector<double> losses(groups, 0.0);
    Phases phases;
    phases.add(groups, [&](int64_t group, int) {
      float* own = sums.data() + group * stride;
      std::memset(own, 0, stride * sizeof(float));
      typename Decoder::Tile net(weights_, true);
      StageClock<kStages> clock(stages_);
      for (int64_t run = used_ * group / groups; run < used_ * (group + 1) / groups; ++run) {
        losses[group] += learn_run(run, net, own);
      }
      clock.lap(kColour);
    });
    const Grid& grid = table_.grid;
    int64_t largest = 0;
    for (int l = 0; l < grid.num_levels; ++l) {
      largest = std::max<int64_t>(largest, int64_t(grid.level[l].rows) * table_.features);
    }
    STD_TORCH_CHECK(slot_floats >= largest + largest / 64 + 16, "workspace is too small");
    STD_TORCH_CHECK(slots >= num_workers(), "workspace has fewer slots than there are threads");
    phases.add(grid.num_levels + 1, [&](int64_t task, int worker) {
      StageClock<kStages> clock(stages_);
      if (task == 0) {
        Decoder::update(shape_, sums.data(), groups, optimiser.params, state.params);
        return;
      }
      const int l = grid.num_levels - static_cast<int>(task);
      float* slot = workspace + worker * slot_floats;
      uint8_t* flags = reinterpret_cast<uint8_t*>(slot + (largest + 15) / 16 * 16);
      learn_level(l, state, optimiser, slot, flags);
      clock.lap(kTable);
    });
    phases.run();
    double total = 0;
    for (const double loss : losses) total += loss;
    return total * scale();
  }

 private:
  static constexpr int64_t kMostGroups = 32;
  static constexpr int kLeastRays = 2, kRunsWanted = 16;

  // Rays are used in whole runs, so a batch of few rays with many samples each, as in fog, is cut
  // into small ones: samples are then as many as wanted, and a sixteenth.
  static int rays_of_a_run(int64_t rays) {
    int run = kRunRays;
    while (run > kLeastRays && rays < int64_t(run) * kRunsWanted) run /= 2;
    return run;
  }
  int rays_of(int64_t run) const {
    return static_cast<int>(std::min<int64_t>(run_rays_, batch_.rays - run * run_rays_));
  }

  // Kept samples of earlier runs that are done.
  int64_t found_before(int64_t run) const {
    int64_t sum = 0;
    for (int64_t r = 0; r < run; ++r) sum += found_[r].load(std::memory_order_acquire);
    return sum;
  }

  // The loss is the mean over rays and channels.
  float scale() const {
    return 1.0f / (3.0f * static_cast<float>(std::max<int64_t>(1, counts_.rays)));
  }

  // Colours of the kept samples and the loss of their rays, then back from the last sample to the
  // first; returns the sum of the losses. The second forward costs less than keeping what the first
  // one computed.
  double learn_run(int64_t run, typename Decoder::Tile& net, float* own_sums) {
    KeptSamples& kept = kept_[run];
    const int64_t first = run * run_rays_;
    const int rays = rays_of(run);
    const float* along = batch_.directions + 3 * first;
    float sums[kRunRays][3] = {};
    alignas(64) float directions[3 * kTile] = {}, rgb[3 * kTile], grad_raw[kTile];
    for (int64_t t = 0; t < kept.tiles(); ++t) {
      const SampleTile& tile = kept.facts[t];
      load_directions(tile, along, directions);
      net.forward(kept.features[t], directions, rgb);
      for (int s = 0; s < tile_samples(kept.count, t); ++s) {
        for (int c = 0; c < 3; ++c) sums[tile.ray[s]][c] += tile.weight[s] * rgb[c * kTile + s];
      }
    }
    float slopes[kRunRays][3], behind[kRunRays];
    double total = 0;
    for (int r = 0; r < rays; ++r) {
      const float* background = targets_.backgrounds + 3 * (first + r);
      const float weight = targets_.weights ? targets_.weights[first + r] : 1.0f;
      double error = 0;
      behind[r] = 0;
      for (int c = 0; c < 3; ++c) {
        const float value = fma(kept.transmittance[r], background[c], sums[r][c]);
        float slope;
        error += loss_term(targets_.loss, value, targets_.colours[3 * (first + r) + c], slope);
        slopes[r][c] = slope * weight * scale();
        behind[r] += kept.transmittance[r] * background[c] * slopes[r][c];
      }
      targets_.errors[first + r] = static_cast<float>(error / 3);
      total += weight * error;
    }
    float next[kRunRays];  // transmittance behind the sample
    std::memcpy(next, kept.transmittance, sizeof(next));
    for (int64_t t = kept.tiles() - 1; t >= 0; --t) {
      const SampleTile& tile = kept.facts[t];
      load_directions(tile, along, directions);
      const float* raw = net.forward(kept.features[t], directions, rgb);
      const int count = tile_samples(kept.count, t);
      for (int s = kTile - 1; s >= count; --s) {
        grad_raw[s] = 0.0f;
        for (int c = 0; c < 3; ++c) rgb[c * kTile + s] = 0.0f;
      }
      for (int s = count - 1; s >= 0; --s) {
        const int r = tile.ray[s];
        float g = 0.0f;
        for (int c = 0; c < 3; ++c) {
          g = fma(slopes[r][c], rgb[c * kTile + s], g);
          rgb[c * kTile + s] = tile.weight[s] * slopes[r][c];
        }
        grad_raw[s] = sigma_gradient(tile.dt[s], next[r], g, behind[r]);
        behind[r] = fma(tile.weight[s], g, behind[r]);
        next[r] += tile.weight[s];
      }
      for (int s = 0; s < kTile; s += kWidth) {
        const Pack log_density = load<Pack>(raw + s);
        store(grad_raw + s,
              density_gradient(log_density, density_of(log_density), load<Pack>(grad_raw + s)));
      }
      net.backward(kept.features[t], rgb, grad_raw, own_sums);
    }
    return total;
  }

  void learn_level(int l, const State& state, const Optimiser& optimiser, float* grad,
                   uint8_t* flags) {
    const GridLevel& level = table_.grid.level[l];
    const int64_t begin = level.offset * table_.features;
    const int64_t count = int64_t(level.rows) * table_.features;
    const bool flagged = optimiser.touched_only && count > kFlagWorth * counts_.kept;
    const LevelWorkspace work{grad, flagged ? flags : nullptr};
    for (int64_t run = 0; run < used_; ++run) {
      KeptSamples& kept = kept_[run];
      for (int64_t t = 0; t < kept.tiles(); ++t) {
        table_.kernels.scatter(level, table_.grid.smoothstep, kept.facts[t].coords,
                               kept.features[t] + l * table_.features * kTile, work.grad,
                               work.flags);
      }
    }
    update_level(optimiser.table, work, count, optimiser.touched_only, state.table.value + begin,
                 state.table.m + begin, state.table.v + begin);
  }

  const RayBatch& batch_;
  const float* times_;
  MarchedField field_;
  const GridTable<float>& table_;
  const Shape& shape_;
  typename Decoder::Weights weights_;
  const RayTargets& targets_;
  int64_t samples_;
  RadianceStages* stages_;
  int64_t run_rays_;
  int64_t runs_, used_ = 0;
  std::vector<KeptSamples> kept_;
  std::vector<std::atomic<int64_t>> found_;
  RadianceCounts counts_{};
};

}  // namespace fields
