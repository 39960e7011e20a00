#include "cuda/mlp_backward.cuh"
#include "cuda/mlp_forward.cuh"
#include "cuda/mlp_weights.cuh"

namespace fields::cuda {

const FusedMlp fused_fp16 = {sizeof(Fp16::Element), block_bytes<Fp16>(), true,          pack<Fp16>,
                             forward<Fp16>,         grid_forward<Fp16>,  backward<Fp16>};

}  // namespace fields::cuda
