#include "murmur/agents/ppo_backend.hpp"

#include "murmur/agents/device_trainer.hpp"
#include "murmur/base/check.hpp"

namespace murmur {

std::unique_ptr<DeviceTrainer> PpoBackend::make_trainer(const PpoConfig& /*config*/,
                                                        const RolloutCollector& /*collector*/) {
  return nullptr;
}

void check_batch(const PolicySpec& spec, const PpoBatch& batch) {
  const std::size_t n = batch.size();
  if (n == 0) throw_invalid("the minibatch is empty");
  check_size("observations", n * spec.obs_dim, batch.observations.size());
  check_size("actions", spec.discrete ? n : n * spec.action_dim, batch.actions.size());
  check_size("log_probs", n, batch.log_probs.size());
  check_size("advantages", n, batch.advantages.size());
  check_size("values", n, batch.values.size());
  if (batch.base_policy.empty()) return;
  check_size("base_policy", n * spec.action_dim, batch.base_policy.size());
  check_size("base_log_std", spec.discrete ? 0 : spec.action_dim, batch.base_log_std.size());
}

}  // namespace murmur
