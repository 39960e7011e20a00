// What every launch needs: the tensor's device, torch's current stream on it, and a look at errors.
#pragma once

#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>

// The shared headers' unroll pragmas are for g++; nvcc unrolls those loops by itself.
#pragma nv_diag_suppress 1675
#include "cpu/tensors.h"

namespace fields::cuda {

inline void check(cudaError_t error) {
  STD_TORCH_CHECK(error == cudaSuccess, "CUDA: ", cudaGetErrorString(error));
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// While it lives, the tensor's device is the current one.
class Device {
 public:
  explicit Device(const Tensor& tensor) : index_(tensor.get_device_index()), guard_(index_) {
    void* stream = nullptr;
    STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream(index_, &stream) == AOTI_TORCH_SUCCESS,
                    "no CUDA stream on device ", index_);
    stream_ = static_cast<cudaStream_t>(stream);
  }
  cudaStream_t stream() const { return stream_; }
  int multiprocessors() const { return attribute(cudaDevAttrMultiProcessorCount); }
  // Bytes that one block may ask for, and bytes that all blocks of a multiprocessor share.
  int block_memory() const { return attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin); }
  int multiprocessor_memory() const {
    return attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  }
  void wait() const { check(cudaStreamSynchronize(stream_)); }

 private:
  int attribute(cudaDeviceAttr name) const {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, index_));
    return value;
  }

  int32_t index_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
};

// Launches kernel(arguments...) unless the grid is empty.
template <class... Parameters, class... Arguments>
void launch(const Device& device, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, const Arguments&... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  if (shared_bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(shared_bytes)));
  }
  kernel<<<grid, block, shared_bytes, device.stream()>>>(arguments...);
  check(cudaGetLastError());
}

// One thread for each of `count` items, times `layers` in grid.y.
template <class... Parameters, class... Arguments>
void launch_each(const Device& device, void (*kernel)(Parameters...), int64_t count, int layers,
                 const Arguments&... arguments) {
  constexpr int kThreads = 256;
  launch(device, kernel, dim3(static_cast<unsigned>(ceil_div(count, kThreads)), layers), kThreads,
         0, arguments...);
}

// Index of this thread among all of grid.x.
__device__ inline int64_t thread_index() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

// Rows of the table are read as vectors of up to 16 bytes.
template <class S>
void check_alignment(const Tensor& tensor, int64_t columns, const char* name) {
  const int64_t row = columns * int64_t(sizeof(S));
  const int64_t bytes = row % 16 == 0 ? 16 : row % 8 == 0 ? 8 : 4;
  STD_TORCH_CHECK(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % bytes == 0, name,
                  " must begin at a multiple of ", bytes, " bytes in memory; clone it");
}

}  // namespace fields::cuda
