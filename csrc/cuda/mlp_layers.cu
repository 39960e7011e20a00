#include "cuda/mlp_layers.cuh"

#include <vector>

namespace fields::cuda {
namespace {

constexpr int kTile = 16;

template <class S>
struct Matrix {  // element (i, j) at data[i * row + j * column]
  const S* data;
  int64_t row, column;
};

// c [m][n] = scale * a [m][k] b [k][n], k cut into gridDim.z parts of `part`, each with its own c.
template <class S>
__global__ void multiply_kernel(Matrix<S> a, Matrix<S> b, int64_t m, int n, int64_t k, int64_t part,
                                S scale, S* c) {
  __shared__ S a_tile[kTile][kTile + 1], b_tile[kTile][kTile + 1];
  const int64_t i = int64_t(blockIdx.x) * kTile + threadIdx.y;
  const int j = blockIdx.y * kTile + threadIdx.x;
  const int64_t begin = blockIdx.z * part, end = begin + part < k ? begin + part : k;
  S sum = S(0);
  for (int64_t first = begin; first < end; first += kTile) {
    const int64_t k_a = first + threadIdx.x, k_b = first + threadIdx.y;
    a_tile[threadIdx.y][threadIdx.x] =
        i < m && k_a < end ? a.data[i * a.row + k_a * a.column] : S(0);
    b_tile[threadIdx.y][threadIdx.x] =
        j < n && k_b < end ? b.data[k_b * b.row + j * b.column] : S(0);
    __syncthreads();
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      sum = fma(a_tile[threadIdx.y][t], b_tile[t][threadIdx.x], sum);
    }
    __syncthreads();
  }
  if (i < m && j < n) c[(blockIdx.z * m + i) * n + j] = scale * sum;
}

// out[i] = the sum over parts of parts[p][i], in order
template <class S>
__global__ void sum_parts_kernel(const S* parts, int count, int64_t size, S* out) {
  const int64_t i = thread_index();
  if (i >= size) return;
  S sum = S(0);
  for (int p = 0; p < count; ++p) sum += parts[p * size + i];
  out[i] = sum;
}

// values = activation(values + bias_scale * bias), and its slope.
template <class S>
__global__ void activate_kernel(Activation activation, S omega, const S* bias, S bias_scale,
                                int columns, int64_t size, S* values, S* slopes) {
  const int64_t i = thread_index();
  if (i >= size) return;
  S slope;
  const S z = bias ? fma(bias_scale, bias[i % columns], values[i]) : values[i];
  values[i] = activate(activation, z, slope, omega);
  if (slopes) slopes[i] = slope;
}

template <class S>
__global__ void scale_kernel(const S* slopes, int64_t size, S* gradient) {
  const int64_t i = thread_index();
  if (i < size) gradient[i] *= slopes[i];
}

// A block sums a column, times `scale`.
template <class S>
__global__ void column_sum_kernel(const S* matrix, int64_t rows, int columns, S scale, S* sums) {
  __shared__ S parts[256];
  S sum = S(0);
  for (int64_t r = threadIdx.x; r < rows; r += 256) sum += matrix[r * columns + blockIdx.x];
  parts[threadIdx.x] = sum;
  for (int distance = 128; distance > 0; distance /= 2) {
    __syncthreads();
    if (threadIdx.x < distance) parts[threadIdx.x] += parts[threadIdx.x + distance];
  }
  if (threadIdx.x == 0) sums[blockIdx.x] = scale * parts[0];
}

// Values become d loss / d values; `terms` receives what the loss is the mean of.
template <class S>
__global__ void loss_kernel(Loss loss, const S* reference, S weight, int64_t size, S* values,
                            S* terms) {
  const int64_t i = thread_index();
  if (i >= size) return;
  if (loss == Loss::given) {
    values[i] = reference[i];
    return;
  }
  S slope;
  terms[i] = loss_term(loss, values[i], reference[i], slope);
  values[i] = slope * weight;
}

template <class S>
__global__ void mean_kernel(const S* sum, S weight, float* mean) {
  *mean = static_cast<float>(*sum * weight);
}

template <class S>
class Layers {
 public:
  Layers(const Device& device, const MlpShape& shape, const Tensor& params)
      : device_(device), shape_(shape), like_(params), params_(read<S>(params)) {}

  // Output of each layer; slopes too, if asked for.
  void forward(const S* x, int64_t samples, bool with_slopes, S* values) {
    for (int l = 0; l <= shape_.depth; ++l) {
      const int in = shape_.layer_inputs(l), out = shape_.layer_outputs(l);
      const int64_t size = samples * out;
      S* z = l == shape_.depth && values ? values : keep(activations_, size);
      S* slope = with_slopes ? keep(slopes_, size) : nullptr;
      multiply({x, in, 1}, {weight(l), 1, in}, samples, out, in, S(shape_.weight_scale(l)), z);
      launch_each(device_, activate_kernel<S>, size, 1,
                  l == shape_.depth ? shape_.output : shape_.hidden, S(shape_.layer_omega(l)),
                  bias(l), S(shape_.bias_scale(l)), out, size, z, slope);
      x = z;
      if (!with_slopes && activations_.size() > 2) activations_.erase(activations_.begin());
    }
  }

  // After forward with slopes: gradient [samples][channels] = d loss / d values, overwritten.
  void backward(const S* x, int64_t samples, S* gradient, S* grad_x, S* grad_params) {
    for (int l = shape_.depth; l >= 0; --l) {
      const int in = shape_.layer_inputs(l), out = shape_.layer_outputs(l);
      launch_each(device_, scale_kernel<S>, samples * out, 1, read<S>(slopes_[l]), samples * out,
                  gradient);
      const S* input = l == 0 ? x : read<S>(activations_[l - 1]);
      const S scale = S(shape_.weight_scale(l));
      multiply({gradient, 1, out}, {input, in, 1}, out, in, samples, scale,
               grad_params + shape_.weight_offset(l));
      if (shape_.bias) {
        launch(device_, column_sum_kernel<S>, out, 256, 0, gradient, samples, out,
               S(shape_.bias_scale(l)), grad_params + shape_.bias_offset(l));
      }
      if (l == 0 && !grad_x) return;
      S* below = l == 0 ? grad_x : keep(gradients_, samples * in);
      multiply({gradient, out, 1}, {weight(l), in, 1}, samples, in, out, scale, below);
      gradient = below;
    }
  }

  S* keep(std::vector<Tensor>& tensors, int64_t size) {
    tensors.push_back(empty_of(like_, {size}));
    return write<S>(tensors.back());
  }

 private:
  const S* weight(int l) const { return params_ + shape_.weight_offset(l); }
  const S* bias(int l) const { return shape_.bias ? params_ + shape_.bias_offset(l) : nullptr; }

  void multiply(Matrix<S> a, Matrix<S> b, int64_t m, int n, int64_t k, S scale, S* c) {
    const int64_t parts = std::clamp<int64_t>(m * n < (1 << 16) ? k / 1024 : 1, 1, 64);
    const dim3 blocks(static_cast<unsigned>(ceil_div(m, kTile)),
                      static_cast<unsigned>(ceil_div(n, kTile)), static_cast<unsigned>(parts));
    S* sums = c;
    std::vector<Tensor> scratch;
    if (parts > 1) sums = keep(scratch, parts * m * n);
    launch(device_, multiply_kernel<S>, blocks, dim3(kTile, kTile), 0, a, b, m, n, k,
           ceil_div(k, parts), scale, sums);
    if (parts > 1) {
      launch_each(device_, sum_parts_kernel<S>, m * n, 1, sums, static_cast<int>(parts), m * n, c);
    }
  }

  const Device& device_;
  MlpShape shape_;
  Tensor like_;
  const S* params_;
  std::vector<Tensor> activations_, slopes_, gradients_;
};

}  // namespace

template <class S>
void layered_values(const Device& device, const MlpShape& shape, const Tensor& params, const S* x,
                    int64_t samples, S* values) {
  Layers<S>(device, shape, params).forward(x, samples, false, values);
}

template <class S>
void layered_gradients(const Device& device, const MlpShape& shape, const Tensor& params,
                       const S* x, int64_t samples, Loss loss, const S* reference, S* grad_x,
                       S* grad_params, float* loss_value) {
  Layers<S> layers(device, shape, params);
  std::vector<Tensor> scratch;
  const int64_t size = samples * shape.outputs;
  S* values = layers.keep(scratch, size);
  S* terms = layers.keep(scratch, size + 1);
  layers.forward(x, samples, true, values);
  const S weight = S(1) / (S(samples) * S(shape.outputs));
  launch_each(device, loss_kernel<S>, size, 1, loss, reference, weight, size, values, terms);
  layers.backward(x, samples, values, grad_x, grad_params);
  if (loss_value) {
    launch(device, column_sum_kernel<S>, 1, 256, 0, static_cast<const S*>(terms), size, 1, S(1),
           terms + size);
    launch(device, mean_kernel<S>, 1, 1, 0, static_cast<const S*>(terms + size), weight,
           loss_value);
  }
}

#define FIELDS_LAYERED(S)                                                                     \
  template void layered_values<S>(const Device&, const MlpShape&, const Tensor&, const S*,    \
                                  int64_t, S*);                                               \
  template void layered_gradients<S>(const Device&, const MlpShape&, const Tensor&, const S*, \
                                     int64_t, Loss, const S*, S*, S*, float*);
FIELDS_LAYERED(float)
FIELDS_LAYERED(double)
#undef FIELDS_LAYERED

}  // namespace fields::cuda
