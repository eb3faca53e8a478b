#include "murmur/agents/evaluation.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/policy_head.hpp"

namespace murmur {
namespace {

void choose_greedily(const EnvSpec& spec, std::span<const float> policy, std::span<float> actions) {
  if (spec.action_kind == ActionKind::kContinuous) {
    std::copy(policy.begin(), policy.end(), actions.begin());
    return;
  }
  for (std::size_t i = 0; i < actions.size(); ++i) {
    actions[i] = static_cast<float>(greedy_choice(policy.subspan(i * spec.num_actions, spec.num_actions)));
  }
}

}  // namespace

Evaluation evaluate_greedy(PpoBackend& backend, const ModelMoments& moments, bool normalize_observations,
                           VectorEnv& env) {
  const EnvSpec& spec = env.spec();
  const std::size_t n = env.num_envs();
  const std::size_t head = spec.action_kind == ActionKind::kDiscrete ? spec.num_actions : spec.action_dim;
  StepBuffers step(n, spec.obs_dim);
  std::vector<float> seen(n * spec.obs_dim);
  std::vector<float> policy(n * head);
  std::vector<float> actions(n * spec.action_dim);
  std::vector<bool> ended(n, false);
  std::size_t running = n;
  Evaluation result{.mean_return = 0.0, .returns = std::vector<double>(n)};
  env.observe(step.observations);
  while (running > 0) {  // at most max_episode_steps: a time limit truncates every episode
    require_finite("observation", step.observations, spec.obs_dim);
    if (normalize_observations) {
      moments.normalize(step.observations, seen);
    } else {
      seen = step.observations;
    }
    backend.act(seen, policy);
    require_finite("policy output", policy, head);
    choose_greedily(spec, policy, actions);
    env.step(actions, step.output());
    for (std::size_t i = 0; i < n; ++i) {
      if (ended[i] || (step.terminated[i] == 0 && step.truncated[i] == 0)) continue;
      ended[i] = true;
      env.rest(i);
      result.returns[i] = static_cast<double>(step.episode_returns[i]);
      result.mean_return += result.returns[i];
      --running;
    }
  }
  result.mean_return /= static_cast<double>(n);
  return result;
}

}  // namespace murmur
