#include "cuda/gpu_executor.cuh"
#include "murmur/base/check.hpp"
#include "murmur/cuda/cuda_backend.hpp"

namespace murmur::cuda {
namespace {

// Ten times the compute capability that kernels are compiled for (cmake/cuda.cmake).
constexpr int kOldest = 80;

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

}  // namespace

std::string why_no_gpu() {
  int count = 0;
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result != cudaSuccess) {
    cudaGetLastError();  // forget it: nobody else shall stumble over it
    return std::string("CUDA finds no GPU (") + cudaGetErrorString(result) + ")";
  }
  if (count == 0) return "CUDA finds no GPU";
  const int capability =
      10 * attribute(cudaDevAttrComputeCapabilityMajor, 0) + attribute(cudaDevAttrComputeCapabilityMinor, 0);
  if (capability < kOldest) {
    return "the GPU has compute capability " + std::to_string(capability / 10) + "." +
           std::to_string(capability % 10) + ", the kernels need 8.0";
  }
  return {};
}

GpuExecutor::GpuExecutor() {
  if (const std::string problem = why_no_gpu(); !problem.empty()) throw_invalid(problem);
  enter();
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device_), "cudaGetDeviceProperties");
  name_ = "cuda:" + std::to_string(device_);
  num_processors_ = properties.multiProcessorCount;
  shared_limit_ = properties.sharedMemPerBlockOptin;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
}

GpuExecutor::~GpuExecutor() {
  if (graph_ != nullptr) cudaGraphExecDestroy(graph_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

}  // namespace murmur::cuda
