/// How kernels are written: once, for a GPU and for its emulation on a CPU.
///
/// A kernel is a struct of plain values with a template `operator()(Block&) const`. Its body is a sequence of
/// phases, `block.each([&](int thread) {...})`, each of which ends at a barrier. Threads of a phase may not
/// talk to each other; what they hand on lies in shared or global memory. Code between phases is the same for
/// all threads of a block and only reads. So a plain loop over the threads of a phase, in any order, is the
/// same program.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include "murmur/base/host_device.hpp"

namespace murmur::cuda {

/// Repeat the loop that follows N times a turn, so that loads of later turns need not wait for earlier ones.
#ifdef __CUDACC__
#define MURMUR_PRAGMA(text) _Pragma(#text)
#define MURMUR_UNROLL(N) MURMUR_PRAGMA(unroll N)
#else
#define MURMUR_UNROLL(N)
#endif

/// Threads of every block: fixed, because sums are shared out over them and must not depend on the device.
inline constexpr int kThreads = 256;

/// Threads that share a row of memory where rows are dealt out.
inline constexpr int kLanes = 32;

/// What a kernel sees of the device: its place in the grid, shared memory, and phases.
/// GpuBlock (gpu_executor.cuh) is the other one.
class HostBlock {
 public:
  /// `order`: a permutation of the threads, in which each phase runs them; `shared`: 16-byte aligned.
  HostBlock(int index, int count, std::byte* shared, std::span<const int> order)
      : index_(index), count_(count), shared_(shared), order_(order) {}

  [[nodiscard]] int index() const noexcept { return index_; }
  [[nodiscard]] int count() const noexcept { return count_; }
  /// Shared memory from byte `offset` on, as numbers of type T.
  template <class T>
  [[nodiscard]] T* shared(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(shared_ + offset);
  }
  template <class Phase>
  void each(const Phase& phase) const {
    for (const int thread : order_) phase(thread);
  }
  /// *address = min(*address, value)
  void lower(std::uint64_t* address, std::uint64_t value) const noexcept {
    if (value < *address) *address = value;
  }

 private:
  int index_;
  int count_;
  std::byte* shared_;
  std::span<const int> order_;
};

/// Four neighbours; `p` is 16-byte aligned. One load on a GPU.
struct alignas(16) Four {
  float at[4];
};
MURMUR_HOST_DEVICE inline Four load4(const float* p) noexcept {
#ifdef __CUDA_ARCH__
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {{v.x, v.y, v.z, v.w}};
#else
  return {{p[0], p[1], p[2], p[3]}};
#endif
}

/// a * b + c, rounded once on both.
MURMUR_HOST_DEVICE inline float fma(float a, float b, float c) noexcept {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  return std::fma(a, b, c);
#endif
}
MURMUR_HOST_DEVICE inline float square_root(float x) noexcept {
#ifdef __CUDA_ARCH__
  return __fsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}
MURMUR_HOST_DEVICE inline double square_root(double x) noexcept {
#ifdef __CUDA_ARCH__
  return __dsqrt_rn(x);
#else
  return std::sqrt(x);
#endif
}

MURMUR_HOST_DEVICE constexpr int round_up(int n, int multiple) noexcept {
  return (n + multiple - 1) / multiple * multiple;
}
MURMUR_HOST_DEVICE constexpr int smaller(int a, int b) noexcept {
  return a < b ? a : b;
}
/// False for NaN and infinities.
MURMUR_HOST_DEVICE constexpr bool finite(float x) noexcept {
  return x - x == 0.0F;
}
MURMUR_HOST_DEVICE constexpr bool finite(double x) noexcept {
  return x - x == 0.0;
}

}  // namespace murmur::cuda
