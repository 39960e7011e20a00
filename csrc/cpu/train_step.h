// One training step of a hash grid with a decoder behind it: forward, loss, backward, and Adam
// where the gradients lie in cache.
#pragma once

#include <torch/csrc/stable/ops.h>

#include "cpu/adam.h"
#include "cpu/grid_mlp.h"
#include "cpu/pack_maths.h"
#include "maths/loss.h"

namespace fields {

// Turns values y [channels][kTile] into d loss / d y, where loss is the mean over the batch and its
// channels; returns the tile's share of the loss. Padding gets no gradient.
inline double loss_gradient(Loss loss, const float* targets, int64_t samples, int channels,
                            int64_t tile, float* y) {
  const int count = tile_samples(samples, tile);
  const float scale = 1.0f / (static_cast<float>(samples) * static_cast<float>(channels));
  const float* rows = targets + tile * kTile * channels;
  alignas(64) float real[kTile];  // 0 for padding
  for (int s = 0; s < kTile; ++s) real[s] = s < count ? 1.0f : 0.0f;
  Pack total = splat<Pack>(0.0f);
  for (int c = 0; c < channels; ++c) {
    float* row = y + c * kTile;
    alignas(64) float target[kTile];
    for (int s = 0; s < count; ++s) target[s] = rows[s * channels + c];
    for (int s = count; s < kTile; ++s) row[s] = target[s] = 0.0f;
    for (int s = 0; s < kTile; s += kWidth) {
      Pack slope;
      const Pack term = loss_term(loss, load<Pack>(row + s), load<Pack>(target + s), slope);
      total = fma(term, load<Pack>(real + s), total);
      store(row + s, slope * load<Pack>(real + s) * splat<Pack>(scale));
    }
  }
  return double(sum(total)) * scale;
}

// Finding the touched numbers: flags raised by the scatter cost 1 ns a sample and level, reading
// the whole gradient a tenth of that a number.
constexpr int kFlagWorth = 8;

// One thread's gradient of a level, and its flags; zero between uses. No flags: all may be touched.
struct LevelWorkspace {
  float* grad;
  uint8_t* flags;
};

// Adam on a level. Zeroes the gradient behind it, for the next level.
inline void update_level(const Adam& adam, const LevelWorkspace& work, int64_t count,
                         bool touched_only, float* param, float* m, float* v) {
  if (!work.flags) {
    adam_range(adam, param, work.grad, m, v, count, touched_only);
    std::memset(work.grad, 0, count * sizeof(float));
    return;
  }
  // Blocks wait in a ring while their memory is fetched: param and moments of a level of 2^17 rows
  // come from beyond L2.
  constexpr int kAhead = 16;
  int64_t ring[kAhead];
  int64_t put = 0, taken = 0;
  const auto update = [&](int64_t begin) {
    const int64_t length = std::min<int64_t>(kFlagFloats, count - begin);
    adam_range(adam, param + begin, work.grad + begin, m + begin, v + begin, length, true);
    std::memset(work.grad + begin, 0, length * sizeof(float));
  };
  const int64_t flags = (count + kFlagFloats - 1) / kFlagFloats;
  for (int64_t i = 0; i < flags; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, work.flags + i, 8);
    if (!eight) continue;
    for (int64_t j = i; j < std::min(flags, i + 8); ++j) {
      if (!work.flags[j]) continue;
      const int64_t begin = j * kFlagFloats;
      for (float* at : {param, m, v, work.grad}) __builtin_prefetch(at + begin, 1);
      if (put - taken == kAhead) update(ring[taken++ % kAhead]);
      ring[put++ % kAhead] = begin;
    }
    std::memset(work.flags + i, 0, 8);
  }
  while (taken < put) update(ring[taken++ % kAhead]);
}

struct Optimiser {
  Adam table;
  Adam params;
  bool touched_only;
};

struct State {
  float *table, *table_m, *table_v;
  float *params, *params_m, *params_v;
};

// One step in place; returns the loss before it. `workspace` holds a slot for each worker.
template <class Decoder>
double train_step(const Grid& grid, int dim, int F, const typename Decoder::Shape& shape,
                  const float* coords, const float* targets, int64_t samples, Loss loss,
                  const Optimiser& optimiser, const State& state, float* workspace, int64_t slots,
                  int64_t slot_floats) {
  const GridTable<float> table(grid, dim, F, state.table);
  FieldGradients<Decoder> grads(table, shape, state.params, samples);
  Scratch<double> tile_loss(grads.tiles);
  Scratch<float> params_grad(shape.size());
  const auto output_gradient = [&](int64_t tile, float* y) {
    tile_loss[tile] = loss_gradient(loss, targets, samples, shape.outputs, tile, y);
  };
  Phases phases;
  grads.add_to(phases, coords, output_gradient);
  int64_t largest = 0;
  for (int l = 0; l < grid.num_levels; ++l) {
    largest = std::max<int64_t>(largest, int64_t(grid.level[l].rows) * F);
  }
  STD_TORCH_CHECK(slot_floats >= largest + largest / 64 + 16, "workspace is too small");
  STD_TORCH_CHECK(slots >= num_workers(), "workspace has fewer slots than there are threads");
  phases.add(grid.num_levels + 1, [&](int64_t task, int worker) {
    if (task == 0) {
      grads.sum_params(params_grad.data());
      adam_range(optimiser.params, state.params, params_grad.data(), state.params_m, state.params_v,
                 shape.size(), false);
      return;
    }
    const int l = grid.num_levels - static_cast<int>(task);
    const GridLevel& level = grid.level[l];
    float* slot = workspace + worker * slot_floats;
    uint8_t* flags = reinterpret_cast<uint8_t*>(slot + (largest + 15) / 16 * 16);
    const int64_t begin = level.offset * F, count = int64_t(level.rows) * F;
    const bool flagged = optimiser.touched_only && count > kFlagWorth * samples;
    const LevelWorkspace work{slot, flagged ? flags : nullptr};
    for (int64_t tile = 0; tile < grads.tiles; ++tile) {
      table.kernels.scatter(level, grid.smoothstep, grads.x.data() + tile * dim * kTile,
                            grads.features.at(l, tile), work.grad, work.flags);
    }
    update_level(optimiser.table, work, count, optimiser.touched_only, state.table + begin,
                 state.table_m + begin, state.table_v + begin);
  });
  phases.run();
  double total = 0;
  for (int64_t tile = 0; tile < grads.tiles; ++tile) total += tile_loss[tile];
  return total;
}

}  // namespace fields
