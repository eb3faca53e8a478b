#pragma once
// The inner loops, written so that GCC and Clang vectorise them, and compiled once per instruction set: see
// murmur/envs/step_kernel.hpp for why by wrappers and not by compiler flags.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "murmur/base/instruction_set.hpp"

namespace murmur::codec {

inline constexpr std::uint32_t kMagnitudeBits = 0x7fffffffU;
inline constexpr std::uint32_t kInfinityBits = 0x7f800000U;

/// |x| as an integer: the order of magnitudes is the order of these, with NaN above infinity.
[[gnu::always_inline]] inline std::uint32_t magnitude_bits(float x) noexcept {
  return std::bit_cast<std::uint32_t>(x) & kMagnitudeBits;
}

/// The largest magnitude, as bits.
struct LargestMagnitude {
  [[gnu::always_inline]] static std::uint32_t run(const float* values, std::size_t n) noexcept {
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, magnitude_bits(values[i]));
    return largest;
  }
};

/// q = x * inverse rounded to the nearest integer, ties to even.
struct Quantise {
  [[gnu::always_inline]] static void run(const float* __restrict values, std::size_t n, float inverse,
                                         std::int8_t* __restrict out) noexcept {
    // Adding 1.5 * 2^23 leaves the rounded integer in the lowest bits: one instruction on every CPU.
    constexpr float kRound = 12582912.0F;
    for (std::size_t i = 0; i < n; ++i) {
      out[i] = static_cast<std::int8_t>(std::bit_cast<std::uint32_t>(values[i] * inverse + kRound));
    }
  }
};

/// q = x * inverse rounded as by Quantise, |q| <= 7: value j in the low half of byte j, value `half` + j in
/// the high one. n: of values, 2 * half or one less.
struct QuantiseHalves {
  [[gnu::always_inline]] static void run(const float* __restrict values, std::size_t n, float inverse,
                                         std::uint8_t* __restrict out) noexcept {
    constexpr float kRound = 12582912.0F;
    const std::size_t half = n - n / 2;
    const float* __restrict second = values + half;
    for (std::size_t j = 0; j < n / 2; ++j) {
      const auto low = std::bit_cast<std::uint32_t>(values[j] * inverse + kRound) & 0xfU;
      const auto high = std::bit_cast<std::uint32_t>(second[j] * inverse + kRound) & 0xfU;
      out[j] = static_cast<std::uint8_t>(low | (high << 4));
    }
    if (n % 2 != 0) {
      const float last = values[half - 1] * inverse + kRound;
      out[half - 1] = static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(last) & 0xfU);
    }
  }
};

/// values = q * scale; return the largest magnitude, as bits.
struct Dequantise {
  [[gnu::always_inline]] static std::uint32_t run(const std::int8_t* __restrict in, std::size_t n,
                                                  float scale, float* __restrict values) noexcept {
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const float value = static_cast<float>(in[i]) * scale;
      values[i] = value;
      largest = std::max(largest, magnitude_bits(value));
    }
    return largest;
  }
};

/// The inverse of QuantiseHalves; return the largest magnitude, as bits.
struct DequantiseHalves {
  [[gnu::always_inline]] static std::uint32_t run(const std::uint8_t* __restrict in, std::size_t n,
                                                  float scale, float* __restrict values) noexcept {
    const std::size_t half = n - n / 2;
    float* __restrict second = values + half;
    std::uint32_t largest = 0;
    for (std::size_t j = 0; j < n / 2; ++j) {
      const float low = static_cast<float>(low_half(in[j])) * scale;
      const float high = static_cast<float>(low_half(in[j] >> 4)) * scale;
      values[j] = low;
      second[j] = high;
      largest = std::max(largest, std::max(magnitude_bits(low), magnitude_bits(high)));
    }
    if (n % 2 != 0) {
      values[half - 1] = static_cast<float>(low_half(in[half - 1])) * scale;
      largest = std::max(largest, magnitude_bits(values[half - 1]));
    }
    return largest;
  }

 private:
  /// The lowest 4 bits as two's complement.
  [[gnu::always_inline]] static std::int32_t low_half(std::uint32_t byte) noexcept {
    return static_cast<std::int32_t>(byte << 28) >> 28;
  }
};

/// `condition ? a : b` without a branch that would keep GCC from vectorising for AVX2 and AVX-512.
[[gnu::always_inline]] inline std::uint32_t choose(bool condition, std::uint32_t a,
                                                   std::uint32_t b) noexcept {
  const std::uint32_t mask = 0U - static_cast<std::uint32_t>(condition);
  return (a & mask) | (b & ~mask);
}

/// Round x * factor to binary16.
struct ToHalf {
  [[gnu::always_inline]] static void run(const float* __restrict values, std::size_t n, float factor,
                                         std::uint16_t* __restrict out) noexcept {
    constexpr std::uint32_t kHalfInfinity = (127U + 16U) << 23;    // 2^16, the first that does not fit
    constexpr std::uint32_t kSmallestNormal = (127U - 14U) << 23;  // 2^-14
    constexpr std::uint32_t kSubnormalMagic = ((127U - 15U) + (23U - 10U) + 1U) << 23;
    constexpr std::uint32_t kRebias = ((15U - 127U) << 23) + 0xfffU;
    for (std::size_t i = 0; i < n; ++i) {
      const auto bits = std::bit_cast<std::uint32_t>(values[i] * factor);
      const std::uint32_t magnitude = bits & kMagnitudeBits;
      const std::uint32_t sign = (bits & ~kMagnitudeBits) >> 16;
      const std::uint32_t normal = (magnitude + kRebias + ((magnitude >> 13) & 1U)) >> 13;
      const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) +
                                                                   std::bit_cast<float>(kSubnormalMagic)) -
                                      kSubnormalMagic;
      std::uint32_t half = choose(magnitude < kSmallestNormal, subnormal, normal);
      half = choose(magnitude >= kHalfInfinity, 0x7c00U, half);
      half = choose(magnitude > kInfinityBits, 0x7e00U, half);  // one NaN for all
      out[i] = static_cast<std::uint16_t>(half | sign);
    }
  }
};

/// values = binary16 * factor; return the largest magnitude, as bits.
struct FromHalf {
  /// in: two bytes a value, at any address: a payload may begin anywhere in what it came with.
  [[gnu::always_inline]] static std::uint32_t run(const std::byte* __restrict in, std::size_t n, float factor,
                                                  float* __restrict values) noexcept {
    constexpr std::uint32_t kSubnormalMagic = 113U << 23;
    std::uint32_t largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
      std::uint16_t half = 0;
      std::memcpy(&half, in + 2 * i, sizeof half);
      const std::uint32_t magnitude = half & 0x7fffU;
      const std::uint32_t sign = (half & 0x8000U) << 16;
      const std::uint32_t normal = (magnitude << 13) + ((127U - 15U) << 23);
      // A subnormal half is a normal float: put it beside 2^-14 and take that away again.
      const auto subnormal = std::bit_cast<std::uint32_t>(
          std::bit_cast<float>((magnitude << 13) + kSubnormalMagic) - std::bit_cast<float>(kSubnormalMagic));
      std::uint32_t bits = magnitude < 0x400U ? subnormal : normal;
      bits = magnitude >= 0x7c00U ? kInfinityBits : bits;
      const float value = std::bit_cast<float>(bits | sign) * factor;
      values[i] = value;
      largest = std::max(largest, magnitude_bits(value));
    }
    return largest;
  }
};

#if defined(__x86_64__)
template <class Loop, class... Args>
[[gnu::target("avx2"), gnu::flatten]] auto run_avx2(Args... args) noexcept {
  return Loop::run(args...);
}
template <class Loop, class... Args>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), gnu::flatten]] auto run_avx512(
    Args... args) noexcept {
  return Loop::run(args...);
}
#endif

/// Run a loop as compiled for `set`, which this processor must have.
template <class Loop, class... Args>
auto run_on([[maybe_unused]] InstructionSet set, Args... args) noexcept {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return run_avx512<Loop>(args...);
  if (set == InstructionSet::kAvx2) return run_avx2<Loop>(args...);
#endif
  return Loop::run(args...);
}

}  // namespace murmur::codec
