#pragma once

#include "cuda/rollout.hpp"

namespace murmur::cuda {

/// Generalised advantage estimation with the rules of rollout/gae.hpp, after scaling the rewards if asked to.
/// Grid: one thread per env.
struct Advantages {
  int num_envs, num_steps;
  float gamma, lambda;
  bool normalize_rewards;
  float reward_clip;  // 0: none
  const RolloutInputs* inputs;
  const Moments* seen_returns;  // moments of this rollout's discounted returns
  RolloutArrays rollout;
  const float* values;        // [T + 1, N]
  const float* final_values;  // [K, N]
  Control* control;
  float* advantages;  // [T, N]
  float* returns;     // [T, N]

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    block.each([&](int thread) {
      const int env = block.index() * kThreads + thread;
      if (env < num_envs) estimate(block, env);
    });
  }

 private:
  static constexpr int kAhead = 8;  // steps

  /// As scale_rewards in rollout/return_scaling.hpp.
  [[nodiscard]] MURMUR_HOST_DEVICE float reward_scale() const noexcept {
    if (!normalize_rewards) return 1.0F;
    const Moments all = merged(inputs->returns, *seen_returns);
    return static_cast<float>(1.0 / square_root((all.count > 0.0 ? all.m2 / all.count : 1.0) + 1e-8));
  }
  [[nodiscard]] MURMUR_HOST_DEVICE float scaled(float reward, float scale) const noexcept {
    if (!normalize_rewards) return reward;
    return reward_clip > 0.0F ? clamp(reward * scale, -reward_clip, reward_clip) : reward * scale;
  }

  template <class Block>
  MURMUR_HOST_DEVICE void estimate(Block& block, int env) const {
    const auto n = static_cast<std::size_t>(num_envs), e = static_cast<std::size_t>(env);
    const float scale = reward_scale();
    const float decay = gamma * lambda;
    float next_value = values[static_cast<std::size_t>(num_steps) * n + e], next_advantage = 0.0F;
    bool good = finite(next_value);
    int truncation = rollout.truncations[env];
    for (int end = num_steps; end > 0; end -= kAhead) {
      // Loads first, so that they wait for memory together instead of one step after the other.
      std::uint8_t ended[kAhead];
      float reward[kAhead], value[kAhead];
      MURMUR_UNROLL(kAhead)
      for (int k = 0; k < kAhead; ++k) {
        if (k >= end) continue;
        const std::size_t at = static_cast<std::size_t>(end - 1 - k) * n + e;
        ended[k] = rollout.ended[at];
        reward[k] = rollout.rewards[at];
        value[k] = values[at];
      }
      MURMUR_UNROLL(kAhead)
      for (int k = 0; k < kAhead; ++k) {
        if (k >= end) continue;
        const std::size_t at = static_cast<std::size_t>(end - 1 - k) * n + e;
        const bool terminated = (ended[k] & 1) != 0, truncated = (ended[k] & 2) != 0;
        float bootstrap = next_value;
        if (terminated) {
          bootstrap = 0.0F;
        } else if (truncated) {
          bootstrap = final_values[static_cast<std::size_t>(--truncation) * n + e];
        }
        const float td_error = scaled(reward[k], scale) + gamma * bootstrap - value[k];
        const float advantage = td_error + decay * (terminated || truncated ? 0.0F : next_advantage);
        advantages[at] = advantage;
        returns[at] = advantage + value[k];
        good = good && finite(value[k]) && finite(bootstrap);
        next_value = value[k];
        next_advantage = advantage;
      }
    }
    if (!good) block.lower(&control->fault, fault_code(e, FaultKind::kValue));
  }
};

}  // namespace murmur::cuda
