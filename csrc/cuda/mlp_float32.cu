#include "cuda/mlp_backward.cuh"
#include "cuda/mlp_forward.cuh"
#include "cuda/mlp_weights.cuh"

namespace fields::cuda {

const FusedMlp fused_float32 = {
    sizeof(Float32::Element), block_bytes<Float32>(), false, pack<Float32>, forward<Float32>,
    grid_forward<Float32>,    backward<Float32>};

}  // namespace fields::cuda
