/// The learning half of PPO: epochs of minibatches over one rollout.
#pragma once

#include <cstdint>
#include <vector>

#include "murmur/agents/base_policy.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/agents/ppo_config.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/rollout/rollout_buffer.hpp"

namespace murmur {

struct UpdateStats {
  PpoLossStats last_epoch;          ///< mean over the minibatches of the last epoch that was begun
  double explained_variance = 0.0;  ///< 1 - Var(returns - values) / Var(returns); NaN if returns do not vary
  std::int64_t optimizer_steps = 0;
  bool stopped_early = false;  ///< a minibatch exceeded 1.5 times target_kl
};

/// The learning rate and the clip range after `env_steps` steps.
[[nodiscard]] double scheduled_learning_rate(const PpoConfig& config, std::int64_t env_steps) noexcept;
[[nodiscard]] double scheduled_clip_range(const PpoConfig& config, std::int64_t env_steps) noexcept;

/// What one update works with, that begins after `env_steps` steps.
[[nodiscard]] PpoLossSettings scheduled_loss(const PpoConfig& config, std::int64_t env_steps) noexcept;
[[nodiscard]] AdamSettings scheduled_adam(const PpoConfig& config, std::int64_t env_steps) noexcept;

/// The approximate KL divergence of a minibatch, nats, above which an update stops; 0: none stops it.
[[nodiscard]] double kl_limit(const PpoConfig& config) noexcept;

class PpoUpdate {
 public:
  /// `shape` is that of the rollouts to come.
  PpoUpdate(const PpoConfig& config, const RolloutShape& shape);

  /// Improve the policy on one rollout. `base`: what the KL penalty holds on to, may be empty. `env_steps` is
  /// the learner's count so far, for the schedules. Throws NonFiniteError as PpoBackend::step does.
  UpdateStats run(PpoBackend& backend, const RolloutBuffer& rollout, const PolicyOutputs& base,
                  std::int64_t env_steps, Rng& shuffle_rng);

 private:
  void shuffle(Rng& rng) noexcept;
  [[nodiscard]] PpoBatch gather(const RolloutBuffer& rollout, const PolicyOutputs& base, std::size_t begin);

  PpoConfig config_;
  std::size_t obs_dim_;
  std::size_t action_dim_;
  std::vector<std::uint32_t> order_;  // a permutation of the rollout's samples
  // One minibatch, gathered: contiguous for the back end.
  std::vector<float> observations_;  // [B, D]
  std::vector<float> actions_;       // [B, A]
  std::vector<float> log_probs_;     // [B]
  std::vector<float> advantages_;    // [B]
  std::vector<float> returns_;       // [B]
  std::vector<float> values_;        // [B]
  std::vector<float> base_policy_;   // [B, A], or none
};

}  // namespace murmur
