#pragma once

#include "murmur/envs/env.hpp"

namespace murmur {

/// The worked example of docs/adding-an-environment.md: slide a puck on ice to the middle and stop it there.
///
/// State and observation: position (m), velocity (m/s). Action: force (N), clipped to [-1, 1].
/// Reward: -(position^2 + 0.1 force^2) * dt. Terminates when the puck is more than 3 m out.
struct Puck {
  using State = std::array<float, 2>;
  using Observation = std::array<float, 2>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 3>;  // in the order of `derive`

  static constexpr float kEdge = 3.0F;
  static constexpr std::array kActionLow = {-1.0F};
  static constexpr std::array kActionHigh = {1.0F};
  static constexpr std::array kParams = {
      ParamSpec{"mass", 1.0, 0.1, 10.0, "mass of the puck, kg"},
      ParamSpec{"friction", 0.1, 0.0, 10.0, "force against the motion at 1 m/s, N"},
      ParamSpec{"dt", 0.05, 0.001, 0.2, "time between two steps, s"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "Puck-v0",
      .obs_dim = 2,
      .state_dim = 2,
      .action_kind = ActionKind::kContinuous,
      .action_dim = 1,
      .num_actions = 0,
      .action_low = kActionLow,
      .action_high = kActionHigh,
      .max_episode_steps = 200,
      .params = kParams,
  };

  static Constants derive(std::span<const double> params) {
    const double mass = params[0], friction = params[1], dt = params[2];
    return {static_cast<float>(dt / mass), static_cast<float>(friction), static_cast<float>(dt)};
  }

  static State reset(const Constants&, Rng& rng) noexcept { return {rng.uniform(-2.0F, 2.0F), 0.0F}; }

  static StepOutcome step(const Constants& constants, State& state, const Action& action) noexcept {
    const auto [gain, friction, dt] = constants;
    const auto [position, velocity] = state;
    const float above = action[0] < kActionLow[0] ? kActionLow[0] : action[0];
    const float force = kActionHigh[0] < above ? kActionHigh[0] : above;
    const float new_velocity = velocity + gain * (force - friction * velocity);
    state = {position + dt * new_velocity, new_velocity};
    const bool out = (state[0] < -kEdge) | (state[0] > kEdge);
    return {-dt * (position * position + 0.1F * force * force), out};
  }

  static Observation observe(const Constants&, const State& state) noexcept { return state; }
};

static_assert(Environment<Puck>);

}  // namespace murmur
