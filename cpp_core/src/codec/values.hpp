#pragma once

#include <bit>
#include <cstdint>

#include "codec/loops_inl.hpp"
#include "murmur/codec/codec.hpp"

namespace murmur::codec {

/// Judge decoded values by the largest magnitude among them.
[[nodiscard]] inline Verdict judge(std::uint32_t largest_bits) noexcept {
  if (largest_bits >= kInfinityBits) return Verdict::kNotFinite;
  return largest_bits > std::bit_cast<std::uint32_t>(kMaxMagnitude) ? Verdict::kMagnitude : Verdict::kValid;
}

}  // namespace murmur::codec
