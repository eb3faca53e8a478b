/// Forward and backward passes of one MLP over blocks of samples that stay in the first-level cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "murmur/agents/fused_layout.hpp"
#include "murmur/kernels/aligned_vector.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {

/// Samples per block: a multiple of the 6 rows of a register block and of 16 lanes, and few enough that the
/// activations of 2 x 64 units stay close (measured: 48 are as fast and slower on wide layers, 192 slower).
inline constexpr std::size_t kFusedBlock = 96;

/// Working memory of one thread for one block of either network.
struct FusedScratch {
  explicit FusedScratch(const FusedLayout& layout);

  std::vector<kernels::AlignedFloats> h;           // of each hidden layer, [block, columns]
  std::vector<kernels::AlignedFloats> slope;       // SiLU only: likewise
  kernels::AlignedFloats outputs;                  // [block, outputs]
  kernels::AlignedFloats output_gradient;          // [block, outputs]
  kernels::AlignedFloats policy, policy_gradient;  // [block, A], a joint head's part
  kernels::AlignedFloats value, value_gradient;    // [block], likewise
  kernels::AlignedFloats head;                     // for the loss kernels
};

enum class Keep : std::uint8_t { kNothing, kForBackward };

/// A view of one network: cheap to make, holds no state.
class FusedNetwork {
 public:
  FusedNetwork(const kernels::KernelSet& kernels, const PackedNet& net, kernels::Nonlinearity f)
      : kernels_(kernels), net_(net), f_(f) {}

  /// Run on `x` [rows, D], rows <= kFusedBlock, and write `out` [rows, A]. `keep`: leave in `scratch` what
  /// `backward` needs.
  void forward(const float* params, const float* x, std::size_t rows, FusedScratch& scratch, float* out,
               Keep keep) const noexcept;

  /// Push `scratch.output_gradient` back through the last `forward` of the same rows, whose activations it
  /// uses up, and add to `gradient` (packed), or overwrite this network's part of it (log_std excepted).
  void backward(const float* params, const float* backward_weights, const float* x, std::size_t rows,
                FusedScratch& scratch, float* gradient, bool accumulate) const noexcept;

 private:
  /// What tells the derivative of layer `l` [rows, columns], until the layer's delta takes its place.
  [[nodiscard]] float* slope_then_delta(FusedScratch& scratch, std::size_t l) const noexcept {
    return f_ == kernels::Nonlinearity::kSilu ? scratch.slope[l].data() : scratch.h[l].data();
  }
  void head_backward(const float* params, std::size_t rows, FusedScratch& scratch, float* gradient,
                     bool accumulate) const noexcept;

  const kernels::KernelSet& kernels_;
  const PackedNet& net_;
  kernels::Nonlinearity f_;
};

}  // namespace murmur
