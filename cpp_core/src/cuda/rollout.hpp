#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/iteration.hpp"
#include "cuda/moments.hpp"
#include "cuda/tile_network.hpp"
#include "murmur/envs/env_row.hpp"

namespace murmur::cuda {

/// What the host decides about one rollout.
struct RolloutInputs {
  std::uint64_t action_key;  // env i draws its actions from the stream (action_key, i)
  Moments returns;           // of discounted returns, as in use before this rollout
};

/// One rollout of T steps of N envs on the device, and what belongs to each env.
struct RolloutArrays {
  float* observations = nullptr;        // [T + 1, N, D], raw; the last row follows the rollout
  float* actions = nullptr;             // [T, N, action_width]
  float* log_probs = nullptr;           // [T, N]
  float* rewards = nullptr;             // [T, N], raw
  float* discounted = nullptr;          // [T, N], discounted return so far
  std::uint8_t* ended = nullptr;        // [T, N], bit 0: terminated, bit 1: truncated
  float* final_observations = nullptr;  // [K, N, D], of the truncated episodes of each env, in order
  float* discounted_now = nullptr;      // [N], where the next rollout goes on
  std::int32_t* truncations = nullptr;  // [N], rows of final_observations in use
  std::int32_t* episodes = nullptr;     // [N], ended in this rollout
  double* return_sums = nullptr;        // [N], of those
  std::int32_t* length_sums = nullptr;  // [N], of those
};

/// Most episodes of one env that `num_steps` steps can truncate: the K of RolloutArrays.
[[nodiscard]] constexpr int max_truncations(int num_steps, std::size_t max_episode_steps) noexcept {
  return 1 + (num_steps - 1) / static_cast<int>(max_episode_steps);
}

MURMUR_HOST_DEVICE constexpr std::uint64_t fault_code(std::size_t sample, FaultKind kind) noexcept {
  return static_cast<std::uint64_t>(sample) * 8 + static_cast<std::uint64_t>(kind);
}

/// Grid: one block per tile of envs, which plays all T steps: parameters do not change meanwhile, so no block
/// waits for another. Envs and weights stay in shared memory.
template <Environment E>
struct Rollout {
  PolicyPlan plan;
  TilePlan tile;  // its rows are envs
  int num_envs, num_steps;
  float gamma;
  const float* params;  // [P]
  const RolloutInputs* inputs;
  ObservationScale see;
  EnvRow<E>* envs;  // [N]
  RolloutArrays out;
  Control* control;

  /// Of the envs, besides weights and activations.
  [[nodiscard]] MURMUR_HOST_DEVICE static constexpr std::size_t own_bytes(int rows) noexcept {
    return (static_cast<std::size_t>(rows) * sizeof(Player) + 15) / 16 * 16;
  }
  [[nodiscard]] static std::size_t shared_bytes(const PolicyPlan& plan, int rows) {
    const auto floats =
        static_cast<std::size_t>(plan.actor.shared_floats + plan_tile(plan, rows).shared_floats);
    return own_bytes(rows) + floats * sizeof(float);
  }

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    const int first = block.index() * tile.rows;
    float* const weights = block.template shared<float>(own_bytes(tile.rows));
    const TileNetwork actor{plan.actor, tile, weights, weights + plan.actor.shared_floats};
    Player* const players = block.template shared<Player>(0);

    actor.load_weights(block, params);
    block.each([&](int thread) {
      for (int at = thread; at < tile.rows * plan.actor.layers[0].stride; at += kThreads)
        actor.input(0)[at] = 0.0F;
    });
    block.each([&](int thread) {
      const int env = first + thread;
      if (thread >= tile.rows || env >= num_envs) return;
      Player& player = players[thread];
      player = {envs[env], Rng(inputs->action_key, static_cast<std::uint64_t>(env)),
                0.0,       out.discounted_now[env],
                0,         0,
                0};
      show(block, player, env, 0, actor.input(0) + thread * plan.actor.layers[0].stride);
    });
    for (int step = 0; step < num_steps; ++step) {
      actor.forward(block);
      block.each([&](int thread) {
        const int env = first + thread;
        if (thread >= tile.rows || env >= num_envs) return;
        play(block, players[thread], env, step, actor.out() + thread * tile.out_stride);
        show(block, players[thread], env, step + 1, actor.input(0) + thread * plan.actor.layers[0].stride);
      });
    }
    block.each([&](int thread) {
      const int env = first + thread;
      if (thread >= tile.rows || env >= num_envs) return;
      const Player& player = players[thread];
      envs[env] = player.env;
      out.discounted_now[env] = player.discounted;
      out.truncations[env] = player.truncations;
      out.episodes[env] = player.episodes;
      out.return_sums[env] = player.return_sum;
      out.length_sums[env] = player.length_sum;
    });
  }

 private:
  static constexpr int kObs = static_cast<int>(E::kSpec.obs_dim);
  static constexpr int kAction = static_cast<int>(E::kSpec.action_dim);
  static constexpr bool kDiscrete = E::kSpec.action_kind == ActionKind::kDiscrete;
  static constexpr auto kMaxSteps = static_cast<std::int32_t>(E::kSpec.max_episode_steps);

  struct Player {
    EnvRow<E> env;
    Rng actions;
    double return_sum;
    float discounted;
    std::int32_t episodes, truncations, length_sum;
  };

  [[nodiscard]] MURMUR_HOST_DEVICE std::size_t sample(int step, int env) const noexcept {
    return static_cast<std::size_t>(step) * static_cast<std::size_t>(num_envs) +
           static_cast<std::size_t>(env);
  }

  /// Record the observation before `step` and put it, scaled, into the network's input `x`.
  template <class Block>
  MURMUR_HOST_DEVICE void show(Block& block, const Player& player, int env, int step, float* x) const {
    const typename E::Observation observation = E::observe(player.env.constants, player.env.state);
    float* const row = out.observations + sample(step, env) * kObs;
    bool good = true;
    for (int k = 0; k < kObs; ++k) {
      const float value = observation[static_cast<std::size_t>(k)];
      good = good && finite(value);
      row[k] = value;
      x[k] = see(value, k);
    }
    if (!good) block.lower(&control->fault, fault_code(sample(step, env), FaultKind::kObservation));
  }

  /// Choose an action from the actor's outputs, take it, and record what comes of it.
  template <class Block>
  MURMUR_HOST_DEVICE void play(Block& block, Player& player, int env, int step, const float* policy) const {
    const std::size_t at = sample(step, env);
    bool good = true;
    for (int j = 0; j < plan.outputs; ++j) good = good && finite(policy[j]);
    if (!good) block.lower(&control->fault, fault_code(at, FaultKind::kPolicy));
    typename E::Action action;
    if constexpr (kDiscrete) {
      out.log_probs[at] = sample_categorical(policy, plan.outputs, player.actions, action.data());
    } else {
      // Unbounded here and clipped by the env (Huang et al. 2022, continuous detail 5).
      out.log_probs[at] =
          sample_gaussian(params + plan.log_std, policy, kAction, player.actions, action.data());
    }
    for (int j = 0; j < kAction; ++j)
      out.actions[at * kAction + static_cast<std::size_t>(j)] = action[static_cast<std::size_t>(j)];

    const StepOutcome outcome = E::step(player.env.constants, player.env.state, action);
    if (!finite(outcome.reward)) block.lower(&control->fault, fault_code(at, FaultKind::kReward));
    player.env.elapsed += 1;
    player.env.episode_return += outcome.reward;
    player.discounted = player.discounted * gamma + outcome.reward;
    const bool truncated = player.env.elapsed >= kMaxSteps;
    out.rewards[at] = outcome.reward;
    out.discounted[at] = player.discounted;
    out.ended[at] = static_cast<std::uint8_t>((outcome.terminated ? 1 : 0) | (truncated ? 2 : 0));
    if (!outcome.terminated && !truncated) return;
    if (!outcome.terminated) record_final(block, player, env, at);
    player.discounted = 0.0F;
    player.return_sum += static_cast<double>(player.env.episode_return);
    player.length_sum += player.env.elapsed;
    ++player.episodes;
    player.env.start_episode();
  }

  template <class Block>
  MURMUR_HOST_DEVICE void record_final(Block& block, Player& player, int env, std::size_t at) const {
    const typename E::Observation observation = E::observe(player.env.constants, player.env.state);
    bool good = true;
    for (int k = 0; k < kObs; ++k) {
      const float value = observation[static_cast<std::size_t>(k)];
      good = good && finite(value);
      out.final_observations[sample(player.truncations, env) * kObs + static_cast<std::size_t>(k)] = value;
    }
    if (!good) block.lower(&control->fault, fault_code(at, FaultKind::kFinalObservation));
    ++player.truncations;
  }
};

}  // namespace murmur::cuda
