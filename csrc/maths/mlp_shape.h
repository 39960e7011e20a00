// The shape of a small multilayer perceptron and the layout of its flat parameter vector:
// layer after layer, W [outputs][inputs] row major, then the bias [outputs] where there is one.
#pragma once

#include "activation.h"

namespace fields {

struct MlpShape {
  int inputs;
  int width;
  int depth;  // hidden layers; 0 is one linear layer
  int outputs;
  bool bias;
  Activation hidden;
  Activation output;

  FIELDS_HD int layers() const { return depth + 1; }
  FIELDS_HD int layer_inputs(int layer) const { return layer == 0 ? inputs : width; }
  FIELDS_HD int layer_outputs(int layer) const { return layer == depth ? outputs : width; }
  FIELDS_HD int64_t layer_size(int layer) const {
    return int64_t(layer_outputs(layer)) * (layer_inputs(layer) + (bias ? 1 : 0));
  }
  FIELDS_HD int64_t weight_offset(int layer) const {
    int64_t offset = 0;
    for (int l = 0; l < layer; ++l) offset += layer_size(l);
    return offset;
  }
  FIELDS_HD int64_t bias_offset(int layer) const {
    return weight_offset(layer) + int64_t(layer_outputs(layer)) * layer_inputs(layer);
  }
  FIELDS_HD int64_t size() const { return weight_offset(depth + 1); }
};

}  // namespace fields
