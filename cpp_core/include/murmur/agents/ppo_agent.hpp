/// One learner: a policy, the environments it trains in, and its PPO.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "murmur/agents/base_policy.hpp"
#include "murmur/agents/device_trainer.hpp"
#include "murmur/agents/evaluation.hpp"
#include "murmur/agents/model_moments.hpp"
#include "murmur/agents/policy_layout.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/agents/ppo_config.hpp"
#include "murmur/agents/ppo_update.hpp"
#include "murmur/agents/rollout_collector.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/rollout/rollout_buffer.hpp"

namespace murmur {

/// Episodes of one env variant that ended in one call of `train`.
struct VariantStats {
  std::int64_t episodes = 0;
  double mean_return = 0.0;  ///< NaN if there are none
};

/// What one call of `train` did.
struct TrainStats {
  std::int64_t env_steps = 0;
  std::int64_t episodes = 0;  ///< that ended in this call
  double mean_return = 0.0;   ///< of those; NaN if there are none
  double mean_length = 0.0;   ///< likewise, env steps
  double approx_kl = 0.0;     ///< the rest: means over this call's updates
  double clip_fraction = 0.0;
  double base_kl = 0.0;  ///< nats, from the policy of the last set_model; 0 where `kl_penalty` is
  double entropy = 0.0;  ///< nats
  double policy_loss = 0.0;
  double value_loss = 0.0;
  double explained_variance = 0.0;  ///< of the last update; NaN when its returns did not vary
  double learning_rate = 0.0;       ///< of the last update
  double wall_s = 0.0;
  std::vector<VariantStats> variants;  ///< by the variant's index in the last `assign_variants`
};

/// Makes `num_envs` environments of the default variant, freshly reset from `seed`.
using EnvFactory = std::function<std::unique_ptr<VectorEnv>(std::size_t num_envs, std::uint64_t seed)>;

/// PPO (Schulman et al. 2017) on a batch of environments. Not thread-safe: one call at a time, from any
/// thread.
///
/// Same seed, same calls: same bytes, for any `config.threads`. (A limit in seconds makes the number of
/// iterations, not the bytes of each, depend on the clock.)
class PpoAgent {
 public:
  using BackendFactory = std::function<std::unique_ptr<PpoBackend>(const PolicyLayout&, Device)>;

  /// Throws std::invalid_argument when a field of `config` is out of range.
  PpoAgent(const PpoConfig& config, const EnvFactory& make_env, const BackendFactory& make_backend);

  /// Train by whole iterations, at least one, until `max_env_steps` are done or about `max_seconds` have
  /// passed.
  ///
  /// Throws std::invalid_argument unless both are positive (infinite seconds are fine). Throws NonFiniteError
  /// naming the culprit when an observation, reward, loss or gradient is not finite; parameters and optimizer
  /// are then those of the last good minibatch. What an environment throws comes out as it is; the iteration
  /// in which it did so leaves nothing behind, and those before it count: after them `train` returns as ever,
  /// and throws when it is called again.
  TrainStats train(std::int64_t max_env_steps, double max_seconds);

  /// Mean return of `episodes` greedy episodes of the default env variant, seeded by `seed`; changes nothing.
  /// Throws std::invalid_argument unless 1 <= episodes <= 100000.
  [[nodiscard]] double evaluate(std::int64_t episodes, std::uint64_t seed);

  /// The return of each of the episodes of `evaluate`.
  [[nodiscard]] std::vector<double> evaluate_returns(std::int64_t episodes, std::uint64_t seed);

  [[nodiscard]] const PolicyLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] const PpoConfig& config() const noexcept { return config_; }
  [[nodiscard]] const EnvSpec& env_spec() const noexcept { return collector_.env().spec(); }
  [[nodiscard]] std::string_view backend_name() const noexcept { return backend_->name(); }
  /// Env steps trained on in this agent's life, checkpoints included.
  [[nodiscard]] std::int64_t env_steps() const noexcept { return env_steps_; }

  /// A canonical line that two agents share exactly when their models can be averaged.
  [[nodiscard]] std::string schema_text() const;

  void get_params(std::span<float> params) const;  // [P]
  /// Throws std::invalid_argument when the size differs or a value is not finite.
  void set_params(std::span<const float> params);  // [P]

  [[nodiscard]] const ModelMoments& moments() const noexcept { return moments_; }
  /// Replace the parameters and the agreed statistics, and forget the statistics seen since. From now on
  /// `kl_penalty` holds on to this policy. Optimizer, environments and random streams stay. Throws
  /// std::invalid_argument, changing nothing, when a size differs or a parameter is not finite.
  void set_model(std::span<const float> params, const RunningMoments& base);

  /// Share the envs out over `variants`; see VectorEnv::assign_variants.
  void assign_variants(std::span<const EnvVariant> variants);

  /// Everything local: parameters, optimizer, statistics, running episodes, random streams, counters.
  [[nodiscard]] std::vector<std::byte> save() const;
  /// Restore what `save` returned. Throws BlobError, changing nothing, when damaged or of another schema or
  /// version.
  void load(std::span<const std::byte> bytes);

 private:
  /// Where the thread that calls us shall run meanwhile; empty: anywhere.
  [[nodiscard]] std::span<const int> callers_cpus() const noexcept;
  void train_once(TrainStats& stats, RolloutTally& tally);
  UpdateStats iterate(RolloutTally& tally);
  void collect(RolloutTally& tally);
  [[nodiscard]] Evaluation play_greedily(std::int64_t episodes, std::uint64_t seed);
  /// Nothing to do without a penalty.
  void set_base_policy(std::span<const float> params);

  PpoConfig config_;
  EnvFactory make_env_;
  mutable RolloutCollector collector_;  // `save` brings it up to date with the device
  PolicyLayout layout_;
  std::unique_ptr<PpoBackend> backend_;
  std::unique_ptr<DeviceTrainer> trainer_;  // null: rollout and update run on the host
  ModelMoments moments_;
  BasePolicy base_policy_;
  RolloutBuffer rollout_;
  PpoUpdate update_;
  Rng shuffle_rng_;
  std::int64_t env_steps_ = 0;
  std::exception_ptr failure_;  // of an environment, after iterations that count
};

/// A learner of env `env_name` on `config.backend`. Throws std::invalid_argument for an unknown env (naming
/// the nearest), a field out of range, or CUDA asked for where there is none.
[[nodiscard]] std::unique_ptr<PpoAgent> make_ppo_agent(std::string_view env_name, const PpoConfig& config);

}  // namespace murmur
