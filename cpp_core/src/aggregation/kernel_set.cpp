// One source, compiled once a target: target_inl.hpp is included in a namespace for each. A target pragma
// around it, and not compiler flags for a file, keeps inline functions of the library at the baseline; a
// target attribute on wrappers alone comes too late, because GCC splits wide vectors before it inlines.
//
// The maskz forms of AVX-512 intrinsics, because GCC 12 warns of the plain ones (its bug 105593).
#include "murmur/aggregation/kernel_set.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__GNUC__) && !defined(__clang__)
#define MURMUR_WIDE_TARGETS
#endif
#endif

#define MURMUR_TARGET baseline
#define MURMUR_TARGET_BYTES 16
#if defined(__x86_64__)
#define MURMUR_TARGET_LESSER(a, b) _mm_min_ps(a, b)
#define MURMUR_TARGET_GREATER(a, b) _mm_max_ps(a, b)
#endif
#include "target_inl.hpp"

#ifdef MURMUR_WIDE_TARGETS
#pragma GCC push_options
#pragma GCC target("avx2")
#define MURMUR_TARGET avx2
#define MURMUR_TARGET_BYTES 32
#define MURMUR_TARGET_WIDEN(from) _mm256_cvtps_pd(_mm_loadu_ps(from))
#define MURMUR_TARGET_LESSER(a, b) _mm256_min_ps(a, b)
#define MURMUR_TARGET_GREATER(a, b) _mm256_max_ps(a, b)
#include "target_inl.hpp"
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#define MURMUR_TARGET avx512
#define MURMUR_TARGET_BYTES 64
#define MURMUR_TARGET_WIDEN(from) _mm512_maskz_cvtps_pd(__mmask8{0xff}, _mm256_loadu_ps(from))
#define MURMUR_TARGET_LESSER(a, b) _mm512_maskz_min_ps(__mmask16{0xffff}, a, b)
#define MURMUR_TARGET_GREATER(a, b) _mm512_maskz_max_ps(__mmask16{0xffff}, a, b)
#include "target_inl.hpp"
#pragma GCC pop_options
#endif

namespace murmur::aggregation {

const KernelSet& kernel_set([[maybe_unused]] InstructionSet set) noexcept {
#define MURMUR_KERNEL_SET(target)                                                                     \
  {                                                                                                   \
    &target::sum_of_squares, &target::squared_distances, &target::weighted_sum, &target::trimmed_mean \
  }
  static constexpr KernelSet kBaseline = MURMUR_KERNEL_SET(baseline);
#ifdef MURMUR_WIDE_TARGETS
  static constexpr KernelSet kAvx2 = MURMUR_KERNEL_SET(avx2);
  static constexpr KernelSet kAvx512 = MURMUR_KERNEL_SET(avx512);
  if (set == InstructionSet::kAvx512) return kAvx512;
  if (set == InstructionSet::kAvx2) return kAvx2;
#endif
#undef MURMUR_KERNEL_SET
  return kBaseline;
}

}  // namespace murmur::aggregation
