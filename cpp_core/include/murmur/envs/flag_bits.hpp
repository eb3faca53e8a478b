#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace murmur {

/// Return a word whose bit k tells whether `a[k]` or `b[k]` is 1, of `n` bytes that are 0 or 1 each; 1 <= n
/// <= 64. Whatever the bytes are, no bit is set from the n-th on: callers take the bits for indices, and who
/// sees the bytes may write others meanwhile.
[[nodiscard]] inline std::uint64_t flag_bits(const std::uint8_t* a, const std::uint8_t* b,
                                             std::size_t n) noexcept {
  static_assert(std::endian::native == std::endian::little, "byte k of a word is its bits 8k to 8k + 7");
  std::array<std::uint64_t, 8> ours{}, theirs{};
  if (n == 64) {  // of known size: no call
    std::memcpy(ours.data(), a, 64);
    std::memcpy(theirs.data(), b, 64);
  } else {
    std::memcpy(ours.data(), a, n);
    std::memcpy(theirs.data(), b, n);
  }
  std::uint64_t bits = 0;
  for (std::size_t word = 0; word < 8; ++word) {
    // The factor's bits are 7 apart: it moves the lowest bit of byte k to bit 56 + k, and nothing else there.
    const std::uint64_t byte = (ours[word] | theirs[word]) * 0x0102040810204080ULL >> 56U;
    bits |= byte << (8 * word);
  }
  return bits & (~std::uint64_t{0} >> (64 - n));
}

}  // namespace murmur
