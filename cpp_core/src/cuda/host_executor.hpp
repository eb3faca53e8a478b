/// Runs kernels on the CPU, block by block and phase by phase: the oracle of the GPU's executor, and what
/// tests run where there is no GPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cuda/block.hpp"
#include "murmur/base/rng.hpp"

namespace murmur::cuda {

/// In which order the emulation runs blocks, and the threads of a phase. A correct kernel does not notice.
enum class EmulationOrder : std::uint8_t { kForward, kBackward, kShuffled };

class HostExecutor {
 public:
  /// `shared_limit`: what the emulated GPU has; an H100 has 227 KB, consumer parts 99 KB.
  explicit HostExecutor(EmulationOrder order = EmulationOrder::kForward,
                        std::size_t shared_limit = 227 * 1024)
      : order_(order), shared_limit_(shared_limit) {}

  /// Device memory, of which only the executor reads and writes.
  template <class T>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(HostExecutor& /*executor*/, std::size_t size) : values_(size) {}
    [[nodiscard]] T* data() noexcept { return values_.data(); }
    [[nodiscard]] const T* data() const noexcept { return values_.data(); }
    [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }

   private:
    std::vector<T> values_;
  };

  [[nodiscard]] std::string device_name() const { return "emulated on cpu"; }
  [[nodiscard]] int num_processors() const noexcept { return 8; }
  /// Most bytes of shared memory that a block may have.
  [[nodiscard]] std::size_t shared_limit() const noexcept { return shared_limit_; }

  template <class T>
  void upload(std::span<const T> from, Buffer<T>& to) {
    std::copy(from.begin(), from.end(), to.data());
  }
  template <class T>
  void download(const Buffer<T>& from, std::span<T> to) const {
    std::copy_n(from.data(), to.size(), to.begin());
  }

  /// Run `kernel` on `blocks` blocks with `shared_bytes` of shared memory each, filled with garbage.
  template <class Kernel>
  void launch(const Kernel& kernel, int blocks, std::size_t shared_bytes) {
    const std::vector<int> order = permutation(blocks), threads = permutation(kThreads);
    for (const int index : order) {
      // As large as asked for and not larger, so that AddressSanitizer sees what a GPU would fault on.
      std::vector<Line> shared((shared_bytes + sizeof(Line) - 1) / sizeof(Line));
      std::ranges::fill(std::as_writable_bytes(std::span(shared)), std::byte{0xFF});  // NaN
      const HostBlock block(index, blocks, std::as_writable_bytes(std::span(shared)).data(), threads);
      kernel(block);
    }
  }

  /// What a GPU records once and replays; here it is simply run again.
  template <class Launches>
  void replay(const Launches& launches) {
    launches();
  }

 private:
  struct alignas(16) Line {
    std::byte bytes[16];
  };

  [[nodiscard]] std::vector<int> permutation(int size) {
    std::vector<int> order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), 0);
    if (order_ == EmulationOrder::kBackward) std::ranges::reverse(order);
    if (order_ == EmulationOrder::kShuffled) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng_.below(i)]);
    }
    return order;
  }

  EmulationOrder order_;
  std::size_t shared_limit_;
  Rng rng_{17};
};

}  // namespace murmur::cuda
