#include "cuda/mlp_backward.cuh"
#include "cuda/mlp_forward.cuh"
#include "cuda/mlp_weights.cuh"

namespace fields::cuda {

const FusedMlp fused_bf16 = {sizeof(Bf16::Element), block_bytes<Bf16>(), false,         pack<Bf16>,
                             forward<Bf16>,         grid_forward<Bf16>,  backward<Bf16>};

}  // namespace fields::cuda
