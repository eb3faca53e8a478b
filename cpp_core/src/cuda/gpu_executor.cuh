/// Runs kernels on a GPU: HostExecutor's interface on CUDA's runtime.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "cuda/block.hpp"

namespace murmur::cuda {

/// A call of CUDA's runtime failed: the machine's fault, or a bug of ours. The message names the call.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline void check(cudaError_t result, const char* call) {
  if (result == cudaSuccess) return;
  throw CudaError(std::string(call) + " failed: " + cudaGetErrorString(result) + " (" +
                  cudaGetErrorName(result) + ")");
}

/// HostBlock's other half: a phase is each thread's own call, and a barrier.
class GpuBlock {
 public:
  [[nodiscard]] __device__ int index() const noexcept { return static_cast<int>(blockIdx.x); }
  [[nodiscard]] __device__ int count() const noexcept { return static_cast<int>(gridDim.x); }
  template <class T>
  [[nodiscard]] __device__ T* shared(std::size_t offset) const noexcept {
    extern __shared__ __align__(16) unsigned char memory[];
    return reinterpret_cast<T*>(memory + offset);
  }
  template <class Phase>
  __device__ void each(const Phase& phase) const {
    phase(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
  /// *address = min(*address, value); the order of integers does not matter, so this stays deterministic.
  __device__ void lower(std::uint64_t* address, std::uint64_t value) const noexcept {
    atomicMin(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value));
  }
};

/// Blocks that shall fit one processor at a time, so that one computes while others wait; it bounds the
/// registers of a thread at 80.
inline constexpr unsigned kResidentBlocks = 3;

template <class Kernel>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    run_kernel(const __grid_constant__ Kernel kernel) {
  const GpuBlock block;
  kernel(block);
}

/// One device and one stream. Not thread-safe; calls may come from different threads one after another.
class GpuExecutor {
 public:
  /// Throws std::invalid_argument when there is no usable GPU.
  GpuExecutor();
  ~GpuExecutor();
  GpuExecutor(const GpuExecutor&) = delete;
  GpuExecutor& operator=(const GpuExecutor&) = delete;

  template <class T>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(GpuExecutor& executor, std::size_t size) : size_(size) {
      executor.enter();
      check(cudaMalloc(reinterpret_cast<void**>(&data_), (size > 0 ? size : 1) * sizeof(T)), "cudaMalloc");
      // On our stream, which does not wait for the default one: cudaMemset would run at any later time, and
      // wipe out what an upload has brought by then.
      check(cudaMemsetAsync(data_, 0, size * sizeof(T), executor.stream_), "cudaMemsetAsync");
    }
    Buffer(Buffer&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(data_, other.data_);
      std::swap(size_, other.size_);
      return *this;
    }
    ~Buffer() { cudaFree(data_); }  // waits for the device; nullptr is fine

    [[nodiscard]] T* data() noexcept { return data_; }
    [[nodiscard]] const T* data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

   private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
  };

  [[nodiscard]] std::string device_name() const { return name_; }
  [[nodiscard]] int num_processors() const noexcept { return num_processors_; }
  [[nodiscard]] std::size_t shared_limit() const noexcept { return shared_limit_; }

  /// Both wait until the copy is done: host memory is free again, and what was launched before has run.
  template <class T>
  void upload(std::span<const T> from, Buffer<T>& to) {
    copy(to.data(), from.data(), from.size_bytes(), cudaMemcpyHostToDevice);
  }
  template <class T>
  void download(const Buffer<T>& from, std::span<T> to) const {
    copy(to.data(), from.data(), to.size_bytes(), cudaMemcpyDeviceToHost);
  }

  template <class Kernel>
  void launch(const Kernel& kernel, int blocks, std::size_t shared_bytes) {
    enter();
    if (shared_bytes > kSharedWithoutAsking) {
      check(cudaFuncSetAttribute(run_kernel<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes)),
            "cudaFuncSetAttribute");
    }
    run_kernel<Kernel><<<static_cast<unsigned>(blocks), kThreads, shared_bytes, stream_>>>(kernel);
    check(cudaGetLastError(), "a kernel launch");
  }

  /// Run `launches` once into a CUDA graph and replay that from then on: every call must launch the same.
  template <class Launches>
  void replay(const Launches& launches) {
    enter();
    if (graph_ == nullptr) {
      cudaGraph_t recorded = record(launches);
      const cudaError_t result = cudaGraphInstantiate(&graph_, recorded, 0);
      cudaGraphDestroy(recorded);
      check(result, "cudaGraphInstantiate");
    }
    check(cudaGraphLaunch(graph_, stream_), "cudaGraphLaunch");
  }

  /// Where everything runs, in order.
  [[nodiscard]] cudaStream_t stream() const noexcept { return stream_; }

  /// Make this executor's device the calling thread's.
  void enter() const { check(cudaSetDevice(device_), "cudaSetDevice"); }

 private:
  static constexpr std::size_t kSharedWithoutAsking = 48 * 1024;

  /// Record what `launches` puts on the stream. The recording ends also where a launch throws: while it goes
  /// on, the stream takes nothing else.
  template <class Launches>
  cudaGraph_t record(const Launches& launches) const {
    cudaGraph_t recorded = nullptr;
    // Thread-local: other threads of the process (libtorch, say) may call CUDA meanwhile.
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
      launches();
    } catch (...) {
      cudaStreamEndCapture(stream_, &recorded);
      if (recorded != nullptr) {
        cudaGraphDestroy(recorded);
      }
      throw;
    }
    check(cudaStreamEndCapture(stream_, &recorded), "cudaStreamEndCapture");
    return recorded;
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) const {
    enter();
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_), "cudaMemcpyAsync");
    check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize");
  }

  int device_ = 0;
  std::string name_;
  int num_processors_ = 0;
  std::size_t shared_limit_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
};

}  // namespace murmur::cuda
