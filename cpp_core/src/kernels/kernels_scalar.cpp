// The kernels in plain C++: the oracle of the others, and what runs where no vectors are.
#define HWY_COMPILE_ONLY_SCALAR
#include "kernels/kernel_set_inl.hpp"

namespace murmur::kernels {

extern const KernelSet& scalar_kernels();
const KernelSet& scalar_kernels() {
  return HWY_NAMESPACE::kKernelSet;
}

}  // namespace murmur::kernels
