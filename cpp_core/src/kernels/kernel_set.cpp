#include "murmur/kernels/kernel_set.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace murmur::kernels {

// Defined where their instruction sets are compiled.
const KernelSet* avx512_kernels();
const KernelSet* avx2_kernels();
const KernelSet* neon_kernels();
const KernelSet& scalar_kernels();

std::span<const KernelSet* const> available_kernels() noexcept {
  struct Found {  // nothing that is destroyed: threads may compute while the process ends
    std::array<const KernelSet*, 4> sets{};
    std::size_t count = 0;
  };
  static const Found found = [] {
    Found all;
    for (const KernelSet* set : {avx512_kernels(), avx2_kernels(), neon_kernels(), &scalar_kernels()}) {
      if (set != nullptr) all.sets[all.count++] = set;
    }
    return all;
  }();
  return std::span(found.sets).first(found.count);
}

bool has_vector_kernels() noexcept {
  return available_kernels().size() > 1;
}

}  // namespace murmur::kernels
