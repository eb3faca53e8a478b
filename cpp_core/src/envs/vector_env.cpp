#include "murmur/envs/vector_env.hpp"

#include <cmath>

#include "murmur/base/check.hpp"

namespace murmur {

StepBuffers::StepBuffers(std::size_t num_envs, std::size_t obs_dim)
    : observations(num_envs * obs_dim),
      rewards(num_envs),
      terminated(num_envs),
      truncated(num_envs),
      final_observations(num_envs * obs_dim),
      episode_returns(num_envs),
      episode_lengths(num_envs) {}

StepOutput StepBuffers::output() noexcept {
  return {observations, rewards, terminated, truncated, final_observations, episode_returns, episode_lengths};
}

VectorEnv::VectorEnv(const EnvSpec& spec, std::size_t num_envs) : spec_(spec), num_envs_(num_envs) {
  if (num_envs < 1 || num_envs > kMaxEnvs) {
    throw_invalid("num_envs must lie in 1.." + std::to_string(kMaxEnvs) + ", got " +
                  std::to_string(num_envs));
  }
}

void VectorEnv::check_actions(std::span<const float> actions) const {
  check_size("actions", num_envs_ * spec_.action_dim, actions.size());
  const bool discrete = spec_.action_kind == ActionKind::kDiscrete;
  const auto end = static_cast<float>(spec_.num_actions);
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const float action = actions[i];
    const bool valid =
        discrete ? action >= 0.0F && action < end && action == std::floor(action) : std::isfinite(action);
    if (valid) continue;
    throw_invalid("the action of env " + std::to_string(i / spec_.action_dim) + " is " +
                  to_text(static_cast<double>(action)) +
                  (discrete ? ", expected an integer from 0 to " + std::to_string(spec_.num_actions - 1)
                            : ", expected a finite number"));
  }
}

}  // namespace murmur
