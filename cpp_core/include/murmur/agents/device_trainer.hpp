#pragma once

#include <cstdint>
#include <span>

#include "murmur/agents/model_moments.hpp"
#include "murmur/agents/ppo_update.hpp"
#include "murmur/agents/rollout_collector.hpp"
#include "murmur/base/rng.hpp"

namespace murmur {

/// Iterations of PPO, rollout and update, that never leave a device: what RolloutCollector and PpoUpdate do
/// on the host.
///
/// The collector stays the owner of environments and random streams in checkpoints: `fetch` brings it up to
/// date, `send` makes the device follow it. The algorithm is the host's with two differences (docs/adr/0014):
/// each env draws actions from a stream of its own, and statistics are renewed once a rollout instead of once
/// a step.
class DeviceTrainer {
 public:
  virtual ~DeviceTrainer() = default;
  DeviceTrainer() = default;
  DeviceTrainer(const DeviceTrainer&) = delete;
  DeviceTrainer& operator=(const DeviceTrainer&) = delete;
  DeviceTrainer(DeviceTrainer&&) = delete;
  DeviceTrainer& operator=(DeviceTrainer&&) = delete;

  /// Go on from the collector's environments and streams.
  virtual void send(const RolloutCollector& collector) = 0;
  /// Bring the collector's environments to where the device is.
  virtual void fetch(RolloutCollector& collector) const = 0;

  /// Let `kl_penalty` hold on to the policy of `params` [P] from now on, or, when they are empty, to none.
  /// For learners with a penalty only.
  virtual void set_base_policy(std::span<const float> params) = 0;

  /// Play one rollout and learn from it. Throws NonFiniteError as RolloutCollector::collect and
  /// PpoUpdate::run do; after a rollout that was not finite, the device goes on from the collector's
  /// environments.
  virtual UpdateStats iterate(RolloutCollector& collector, ModelMoments& moments, RolloutTally& tally,
                              std::int64_t env_steps, Rng& shuffle_rng) = 0;
};

}  // namespace murmur
