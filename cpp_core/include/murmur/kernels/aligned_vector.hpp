#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace murmur::kernels {

/// Allocates on cache lines, so that no vector of 16 floats straddles two.
template <class T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() = default;
  template <class U>
  explicit CacheLineAllocator(const CacheLineAllocator<U>& /*other*/) noexcept {}

  [[nodiscard]] T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t /*n*/) noexcept { ::operator delete(memory, kAlignment); }

  template <class U>
  friend bool operator==(const CacheLineAllocator& /*a*/, const CacheLineAllocator<U>& /*b*/) noexcept {
    return true;
  }
};

using AlignedFloats = std::vector<float, CacheLineAllocator<float>>;

}  // namespace murmur::kernels
