/// The PPO loss of a minibatch and its gradient, over a pool of threads, by the kernels of the fused back
/// end.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "murmur/agents/fused_layout.hpp"
#include "murmur/agents/fused_network.hpp"
#include "murmur/agents/ppo_loss.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/kernels/aligned_vector.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {

/// Networks that run on the packed parameters, and the memory to differentiate them in.
///
/// Data-parallel over samples. A minibatch is cut into chunks by its size alone, each chunk's gradient is
/// summed in sample order into memory of its own, and the chunks are added in order: the bytes do not depend
/// on who computed what. Separate actor and critic share nothing, so that a minibatch of one chunk still
/// feeds two threads.
class FusedGradient {
 public:
  /// `layout` and `kernels` must outlive it. `pool` must not be busy while a call runs.
  FusedGradient(const FusedLayout& layout, const kernels::KernelSet& kernels,
                std::shared_ptr<ThreadPool> pool);

  /// Write logits or means [N, A] of `observations` [N, D] into `out`. Sizes are the caller's to check.
  void act(const float* params, std::span<const float> observations, std::span<float> out);
  /// Write values [N] likewise.
  void value(const float* params, std::span<const float> observations, std::span<float> out);

  /// Fill `gradient()` with the gradient of the loss at `params` (packed, and transposed as FusedLayout does)
  /// and return the loss. Shapes are the caller's to check.
  PpoLossStats compute(const float* params, const float* backward_weights, const PpoBatch& batch,
                       const PpoLossSettings& loss);
  /// Of the last `compute`, packed.
  [[nodiscard]] std::span<const float> gradient() const noexcept {
    return {gradients_.data(), layout_.size()};
  }

 private:
  /// Everything that the shards of one `compute` read.
  struct Problem {
    const float* params;
    const float* backward_weights;
    const PpoBatch& batch;
    const PpoLossSettings& loss;
  };
  /// Samples [begin, end) of the minibatch, and where their gradient goes.
  struct Shard {
    std::size_t begin, end;
    float* gradient;
  };
  enum class Part : std::uint8_t { kPolicy, kValue, kBoth };

  void run(const FusedNetwork& net, const float* params, std::span<const float> observations,
           std::size_t width, std::span<float> out);
  [[nodiscard]] float* chunk_gradient(std::size_t chunk) noexcept {
    return gradients_.data() + chunk * layout_.size();
  }

  kernels::LossSums differentiate(Part part, const Shard& shard, const Problem& problem,
                                  FusedScratch& scratch) const noexcept;
  kernels::LossSums policy_block(const Shard& shard, const Problem& problem, std::size_t row,
                                 std::size_t rows, FusedScratch& scratch) const noexcept;
  kernels::LossSums value_block(const Shard& shard, const Problem& problem, std::size_t row, std::size_t rows,
                                FusedScratch& scratch) const noexcept;
  kernels::LossSums joint_block(const Shard& shard, const Problem& problem, std::size_t row, std::size_t rows,
                                FusedScratch& scratch) const noexcept;
  kernels::LossSums policy_loss(const Shard& shard, const Problem& problem, std::size_t row, std::size_t rows,
                                const float* policy, float* gradient, FusedScratch& scratch) const noexcept;
  kernels::LossSums value_loss(const Problem& problem, std::size_t row, std::size_t rows, const float* values,
                               float* gradient) const noexcept;

  [[nodiscard]] const PolicySpec& spec() const noexcept { return layout_.flat().spec(); }

  const FusedLayout& layout_;
  const kernels::KernelSet& kernels_;
  FusedNetwork actor_;
  FusedNetwork critic_;
  FusedNetwork joint_;  // with a shared trunk only
  std::shared_ptr<ThreadPool> pool_;
  std::vector<FusedScratch> scratch_;    // one a thread, taken in turn by the shards of a loop
  kernels::AlignedFloats gradients_;     // [chunks, packed]
  std::vector<kernels::LossSums> sums_;  // of each task
  std::vector<float> advantages_;        // [B], normalised
};

}  // namespace murmur
