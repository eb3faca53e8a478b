#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace murmur {

/// FNV-1a, 64 bit, over bytes that arrive in pieces. Guards checkpoints against damage and names golden
/// results in tests; it is not a cryptographic hash.
class Fnv1a {
 public:
  void update(std::span<const std::byte> bytes) noexcept {
    for (const std::byte b : bytes) {
      digest_ = (digest_ ^ static_cast<std::uint64_t>(b)) * 0x100000001b3ULL;
    }
  }

  template <class T>
  void update_values(std::span<const T> values) noexcept {
    update(std::as_bytes(values));
  }

  [[nodiscard]] std::uint64_t digest() const noexcept { return digest_; }

 private:
  std::uint64_t digest_ = 0xcbf29ce484222325ULL;
};

}  // namespace murmur
