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
  // Frequencies of hidden layers of sines, 1 elsewhere.
  double first_omega = 1;
  double omega = 1;

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
  // Layers of sines are sin(omega W x + b), and so is the linear layer behind them (Kania et al.
  // 2024); FINER's multiply the bias as well, and leave the last layer alone (Liu et al. 2024).
  // The kernels multiply weights and biases when they pack them and their gradients when they add
  // them up; in between they know nothing of it.
  FIELDS_HD double layer_omega(int layer) const {
    if (hidden == Activation::finer && layer == depth) return 1;
    return layer == 0 ? first_omega : omega;
  }
  FIELDS_HD double weight_scale(int layer) const { return layer_omega(layer); }
  FIELDS_HD double bias_scale(int layer) const {
    return hidden == Activation::finer ? layer_omega(layer) : 1;
  }
  FIELDS_HD int64_t size() const { return weight_offset(depth + 1); }
};

}  // namespace fields
