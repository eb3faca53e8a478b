#include "murmur/envs/vector_env.hpp"

#include "murmur/base/check.hpp"

namespace murmur {

namespace {

// Both loops are branch-free, because they run over every action that comes from outside the core.
bool all_choices(std::span<const float> actions, float num_choices) noexcept {
  std::int32_t wrong = 0;
  for (const float action : actions) {
    const float inside = (action >= 0.0F) & (action < num_choices) ? action : 0.5F;  // 0.5 also for NaN
    wrong |= static_cast<float>(static_cast<std::int32_t>(inside)) == inside ? 0 : 1;
  }
  return wrong == 0;
}

bool all_finite(std::span<const float> actions) noexcept {
  std::int32_t wrong = 0;
  for (const float action : actions) wrong |= action - action == 0.0F ? 0 : 1;
  return wrong == 0;
}

}  // namespace

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
  const std::size_t num_choices = spec_.action_kind == ActionKind::kDiscrete ? spec_.num_actions : 0;
  if (num_choices > 0 ? all_choices(actions, static_cast<float>(num_choices)) : all_finite(actions)) return;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const auto action = actions.subspan(i, 1);
    if (num_choices > 0 ? all_choices(action, static_cast<float>(num_choices)) : all_finite(action)) continue;
    throw_invalid("the action of env " + std::to_string(i / spec_.action_dim) + " is " +
                  to_text(static_cast<double>(actions[i])) +
                  (num_choices > 0 ? ", expected an integer from 0 to " + std::to_string(num_choices - 1)
                                   : ", expected a finite number"));
  }
}

}  // namespace murmur
