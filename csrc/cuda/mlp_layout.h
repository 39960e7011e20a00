// How an MLP is cut into 16 x 16 blocks for the tensor cores.
//
// Inputs and channels are padded to a multiple of 16, hidden layers to 32, 64 or 128 units; padding
// has zero weights, so it changes nothing. Blocks of a layer's weight W [out][in]: forward, block
// (k, n) = k * blocks_out + n holds W^T; backward, block (k, n) = k * blocks_in + n holds W.
// Gradients: block (o, i) = o * blocks_in + i, in the order of accumulator fragments.
#pragma once

#include "maths/mlp_shape.h"

namespace fields::cuda {

constexpr int kBlock = 16;
constexpr int kBlockFloats = kBlock * kBlock;
constexpr int kMaxWidth = 128;

struct MlpLayout {
  MlpShape shape;
  int input_blocks, hidden_blocks, output_blocks;

  FIELDS_HD int blocks_in(int layer) const { return layer == 0 ? input_blocks : hidden_blocks; }
  FIELDS_HD int blocks_out(int layer) const {
    return layer == shape.depth ? output_blocks : hidden_blocks;
  }
  // Blocks of all layers before `layer`.
  FIELDS_HD int first_block(int layer) const {
    if (layer == 0) return 0;
    return input_blocks * blocks_out(0) + (layer - 1) * hidden_blocks * hidden_blocks;
  }
  FIELDS_HD int blocks() const {
    return first_block(shape.depth) + blocks_in(shape.depth) * output_blocks;
  }
  // Gradients of biases follow those of the weights, kBlock floats for each block of outputs.
  FIELDS_HD int bias_gradient(int layer) const {
    return blocks() * kBlockFloats + layer * hidden_blocks * kBlock;
  }
  FIELDS_HD int gradient_floats() const {
    return blocks() * kBlockFloats +
           (shape.bias ? (shape.depth * hidden_blocks + output_blocks) * kBlock : 0);
  }
};

inline MlpLayout make_layout(const MlpShape& shape) {
  const auto blocks = [](int n) { return (n + kBlock - 1) / kBlock; };
  const int width = shape.width <= 32 ? 32 : shape.width <= 64 ? 64 : 128;
  return {shape, blocks(shape.inputs), width / kBlock, blocks(shape.outputs)};
}

// Columns of features, or of their gradient, in groups: [columns / group][samples][group]. One
// group is row major; groups of F are the level-major features of a hash grid.
template <class S>
struct Columns {
  S* data;
  int64_t samples;
  int columns;
  int group;  // a power of two, or `columns`

  FIELDS_HD int64_t index(int64_t sample, int column) const {
    if (group == columns) return sample * columns + column;
    return (int64_t(column / group) * samples + sample) * group + column % group;
  }
};

}  // namespace fields::cuda
