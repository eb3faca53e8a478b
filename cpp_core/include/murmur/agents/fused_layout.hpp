/// Where the fused back end keeps each weight: the same numbers as PolicyLayout, in the order its kernels
/// read.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "murmur/agents/policy_layout.hpp"
#include "murmur/kernels/aligned_vector.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {

/// One affine map inside the packed vector. A hidden layer's weights are [inputs, columns]; those of a head,
/// which has few outputs, are [outputs, columns of its inputs]. Padding is zero.
struct PackedLayer {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::size_t columns = 0;  ///< hidden: outputs, padded; head: inputs, padded
  std::size_t weight_offset = 0;
  std::size_t bias_offset = 0;
  /// Hidden layers but the first: where the weights [outputs, padded inputs] of the backward pass lie in
  /// their own vector.
  std::size_t backward_offset = 0;
};

struct PackedNet {
  std::vector<PackedLayer> hidden;
  PackedLayer head;
};

class FusedLayout {
 public:
  explicit FusedLayout(PolicyLayout layout);

  [[nodiscard]] const PolicyLayout& flat() const noexcept { return layout_; }
  [[nodiscard]] const PackedNet& actor() const noexcept { return actor_; }
  [[nodiscard]] const PackedNet& critic() const noexcept { return critic_; }
  /// With a shared trunk only: the trunk under one head of A + 1 outputs, the actor's and then the critic's.
  /// It is the same numbers as `actor()` and `critic()` (docs/adr/0011).
  [[nodiscard]] const PackedNet& joint() const noexcept { return joint_; }
  /// Offset of log_std in the packed vector.
  [[nodiscard]] std::size_t log_std_offset() const noexcept { return log_std_offset_; }
  /// Length of the packed vector, a multiple of kernels::kLanes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Copy `flat` [P] into `packed` [size()], whose padding is zeroed.
  void pack(const kernels::KernelSet& kernels, std::span<const float> flat, std::span<float> packed) const;
  /// Copy `packed` [size()] into `flat` [P].
  void unpack(const kernels::KernelSet& kernels, std::span<const float> packed, std::span<float> flat) const;

  /// Length of the vector of backward weights.
  [[nodiscard]] std::size_t backward_size() const noexcept { return backward_size_; }
  /// Renew the backward weights [backward_size()] from `packed`. Their padding is left as it is: zero.
  void transpose(const kernels::KernelSet& kernels, std::span<const float> packed,
                 std::span<float> backward) const noexcept;

 private:
  /// `outputs`: of the head.
  PackedNet place(const std::vector<DenseLayer>& layers, std::size_t outputs);
  /// The joint network seen through `count` of its outputs from `first` on.
  [[nodiscard]] PackedNet joint_outputs(std::size_t first, std::size_t count) const;

  PolicyLayout layout_;
  std::size_t size_ = 0;
  std::size_t backward_size_ = 0;
  std::size_t log_std_offset_ = 0;
  PackedNet actor_;
  PackedNet critic_;
  PackedNet joint_;
};

}  // namespace murmur
