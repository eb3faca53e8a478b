/// Plays the policy in a batch of environments and fills rollout buffers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "murmur/agents/model_moments.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/blob.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/envs/vector_env.hpp"
#include "murmur/rollout/return_scaling.hpp"
#include "murmur/rollout/rollout_buffer.hpp"

namespace murmur {

/// Episodes that ended.
struct EpisodeTally {
  std::int64_t episodes = 0;
  double return_sum = 0.0;
  std::int64_t length_sum = 0;  // env steps

  void add(float episode_return, std::int32_t length) noexcept {
    ++episodes;
    return_sum += static_cast<double>(episode_return);
    length_sum += length;
  }
  /// NaN if none ended.
  [[nodiscard]] double mean_return() const noexcept { return mean(return_sum); }
  /// Likewise.
  [[nodiscard]] double mean_length() const noexcept { return mean(static_cast<double>(length_sum)); }

 private:
  [[nodiscard]] double mean(double sum) const noexcept {
    return episodes > 0 ? sum / static_cast<double>(episodes) : std::numeric_limits<double>::quiet_NaN();
  }
};

/// All of them, and those of each env variant.
struct RolloutTally {
  EpisodeTally total;
  std::vector<EpisodeTally> variants;  // by the variant's index in the last `assign_variants`
};

class RolloutCollector {
 public:
  /// Takes N = env->num_envs() running environments.
  RolloutCollector(std::unique_ptr<VectorEnv> env, const PpoConfig& config);

  /// Play T steps, then fill values, advantages and returns of `buffer` and add ended episodes to `tally`.
  /// Steps that were part of no episode (VectorEnv::waiting) are gaps of `buffer`, filled.
  ///
  /// Throws NonFiniteError when an observation, a reward or the policy's output is not finite; the buffer is
  /// then worthless. Where the policy is at fault, the environments go on from where they are. Else all of
  /// them begin anew: no action can be chosen from such an observation, so that none would be stepped again.
  void collect(PpoBackend& backend, ModelMoments& moments, RolloutBuffer& buffer, RolloutTally& tally);

  /// Share the envs out over `variants`; see VectorEnv::assign_variants.
  void assign_variants(std::span<const EnvVariant> variants);

  [[nodiscard]] const VectorEnv& env() const noexcept { return *env_; }
  [[nodiscard]] std::span<const float> discounted_returns() const noexcept { return returns_.values(); }

  // For a DeviceTrainer, which plays in this collector's stead:
  /// Draw the key of a rollout's actions.
  [[nodiscard]] std::uint64_t draw_action_key() noexcept { return action_rng_.next_u64(); }
  /// Let `take(VectorEnv&, std::span<float> discounted_returns)` move the environments on.
  template <class Take>
  void take_back(const Take& take) {
    take(*env_, returns_.values());
    env_->observe(step_.observations);
  }

  /// The last fields of a blob.
  void save(BlobWriter& writer) const;
  /// Throws BlobError, changing nothing, when the blob is of another env or another number of envs, or holds
  /// what `save` does not write.
  void load(BlobReader& reader);

 private:
  void choose_actions(PpoBackend& backend, std::span<const float> observations, std::span<float> actions,
                      std::span<float> log_probs);
  /// Throw NonFiniteError when `rows` that environments brought forth are not, and have them begin anew.
  void require_sound(std::string_view what, std::span<const float> rows, std::size_t width = 1);
  void record_rewards(ModelMoments& moments, RolloutBuffer& buffer, std::size_t step);
  void record_endings(const ModelMoments& moments, const RolloutBuffer& buffer, std::size_t step,
                      RolloutTally& tally);
  void fill_values(PpoBackend& backend, const ModelMoments& moments, RolloutBuffer& buffer);
  void see(const ModelMoments& moments, std::span<const float> raw, std::span<float> out) const;
  [[nodiscard]] std::span<const float> of_episodes(std::span<const float> rows, std::size_t width);

  std::unique_ptr<VectorEnv> env_;
  PpoConfig config_;
  Rng action_rng_;
  DiscountedReturns returns_;
  StepBuffers step_;             // `step_.observations` is what the next action is chosen from
  std::vector<float> policy_;    // [N, A] logits or means
  std::vector<float> log_std_;   // [A], continuous only
  std::vector<float> uniforms_;  // random numbers that one step's actions are drawn with
  std::vector<float> scratch_;   // of the sampling kernels
  std::vector<float>
      final_observations_;  // [F, D] of truncated episodes of this rollout, as the critic sees them
  std::vector<std::size_t> final_positions_;  // [F], where in the buffer their value belongs
  std::vector<float> final_values_;           // [F]
  std::vector<std::uint8_t> waiting_;         // [N] or none: VectorEnv::waiting before the step
  std::vector<std::size_t> gaps_;   // samples of this rollout that are part of no episode, ascending
  std::vector<float> of_episodes_;  // rows of a step without those
};

}  // namespace murmur
