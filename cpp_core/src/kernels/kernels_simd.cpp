// The kernels for every vector instruction set with fused multiply-add, chosen by what the CPU reports.
//
// Only Highway's headers are used: its run-time library would be one more package on every machine, for a
// choice between two.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kernels_simd.cpp"
#include "hwy/foreach_target.h"
// foreach_target.h must come before highway.h
#include "hwy/highway.h"

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
#include "kernels/kernel_set_inl.hpp"
#endif

#if HWY_ONCE
#include "murmur/kernels/kernel_set.hpp"

namespace murmur::kernels {

extern const KernelSet* avx512_kernels();
extern const KernelSet* avx2_kernels();
extern const KernelSet* neon_kernels();

// Each returns null where the CPU cannot run it.
const KernelSet* avx512_kernels() {
#if HWY_TARGETS & HWY_AVX3
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    return &N_AVX3::kKernelSet;
  }
#endif
  return nullptr;
}

const KernelSet* avx2_kernels() {
#if HWY_TARGETS & HWY_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    return &N_AVX2::kKernelSet;
  }
#endif
  return nullptr;
}

const KernelSet* neon_kernels() {
#if HWY_TARGETS & HWY_NEON
  return &N_NEON::kKernelSet;  // part of every 64-bit Arm
#else
  return nullptr;
#endif
}

}  // namespace murmur::kernels
#endif  // HWY_ONCE
