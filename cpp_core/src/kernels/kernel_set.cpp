#include "murmur/kernels/kernel_set.hpp"

#include <vector>

namespace murmur::kernels {

// Defined where their instruction sets are compiled.
const KernelSet* avx512_kernels();
const KernelSet* avx2_kernels();
const KernelSet* neon_kernels();
const KernelSet& scalar_kernels();

std::span<const KernelSet* const> available_kernels() noexcept {
  static const std::vector<const KernelSet*> sets = [] {
    std::vector<const KernelSet*> found;
    for (const KernelSet* set : {avx512_kernels(), avx2_kernels(), neon_kernels()}) {
      if (set != nullptr) found.push_back(set);
    }
    found.push_back(&scalar_kernels());
    return found;
  }();
  return sets;
}

bool has_vector_kernels() noexcept {
  return available_kernels().size() > 1;
}

}  // namespace murmur::kernels
