#pragma once
// The scale that a block of integers shares (int8, int4).

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "codec/loops_inl.hpp"
#include "murmur/codec/codec.hpp"

namespace murmur::codec {

inline constexpr float kSmallestBlock = 0x1p-64F;  // the largest magnitude of a block that is not all zeros
inline constexpr float kSmallestScale = 0x1p-80F;  // below any that an encoder writes, above every subnormal

/// How an encoder writes a block. inverse: what its values are multiplied with, or 0: all its integers are 0.
struct BlockScale {
  float scale = 0.0F;
  float inverse = 0.0F;
};

/// largest_bits: the block's largest magnitude. levels: the integer that this one becomes. What is not finite
/// gets a scale that no finite block has, so that the decoder refuses what the encoder was given.
[[nodiscard]] inline BlockScale block_scale(std::uint32_t largest_bits, float levels) noexcept {
  const auto largest = std::bit_cast<float>(largest_bits);
  if (largest_bits > kInfinityBits) return {.scale = std::bit_cast<float>(0x7fc00000U)};  // one NaN for all
  if (largest_bits == kInfinityBits) return {.scale = largest};
  if (largest < kSmallestBlock) return {};
  return {.scale = largest / levels, .inverse = levels / largest};
}

/// Read the scale of the block number `block`, and judge it; `scale` means nothing unless it is valid.
[[nodiscard]] inline Verdict read_scale(const std::byte* scales, std::size_t block, float& scale) noexcept {
  std::memcpy(&scale, scales + 4 * block, 4);
  if (magnitude_bits(scale) >= kInfinityBits) return Verdict::kNotFinite;
  const bool is_zero = std::bit_cast<std::uint32_t>(scale) == 0;
  if (!is_zero && !(scale >= kSmallestScale)) return Verdict::kMalformed;
  // Before it makes infinities of honest integers.
  return scale > kMaxMagnitude ? Verdict::kMagnitude : Verdict::kValid;
}

[[nodiscard]] constexpr std::size_t num_blocks(std::size_t num_values) noexcept {
  return (num_values + kBlock - 1) / kBlock;
}

}  // namespace murmur::codec
