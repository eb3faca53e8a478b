#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace murmur {

/// K columns of N numbers in one block; each begins on a cache line of its own.
///
/// The lines between two columns are there for batches of a power of two: without them the same row of every
/// column falls into the same few lines of the L1 cache, and a step over ten columns throws them out again
/// and again (measured: half of the speed of CartPole at 1024 envs).
template <class T, std::size_t K>
class Columns {
 public:
  explicit Columns(std::size_t n)
      : n_(n), stride_((n + kLine - 1) / kLine * kLine + 3 * kLine), storage_(K * stride_ + kLine) {
    const auto beyond = reinterpret_cast<std::uintptr_t>(storage_.data()) % kLineBytes;
    offset_ = (kLineBytes - beyond) % kLineBytes / sizeof(T);
  }

  /// Column `k`, [N].
  [[nodiscard]] std::span<T> operator[](std::size_t k) noexcept {
    return std::span(storage_).subspan(offset_ + k * stride_, n_);
  }
  [[nodiscard]] std::span<const T> operator[](std::size_t k) const noexcept {
    return std::span(storage_).subspan(offset_ + k * stride_, n_);
  }

 private:
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kLine = kLineBytes / sizeof(T);

  std::size_t n_;
  std::size_t stride_;
  std::vector<T> storage_;  // moving it keeps its address, and so the alignment
  std::size_t offset_ = 0;
};

}  // namespace murmur
