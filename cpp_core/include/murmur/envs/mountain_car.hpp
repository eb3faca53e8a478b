#pragma once

#include <array>
#include <span>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// MountainCar-v0 as Gymnasium 1.4 has it: a car too weak for the hill before it must first swing back
/// (Moore 1990; Sutton and Barto 2018, example 10.1).
///
/// State and observation: position (m), velocity (m a step). Actions: push left, none, push right.
/// Reward -1 a step, also for the last. Terminates at the goal, when the car is fast enough there.
struct MountainCar {
  using State = std::array<float, 2>;
  using Observation = std::array<float, 2>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 4>;  // in the order of `derive`

  static constexpr float kLeftWall = -1.2F;
  static constexpr float kRightEnd = 0.6F;
  static constexpr float kMaxSpeed = 0.07F;
  static constexpr std::array kObsLow = {kLeftWall, -kMaxSpeed};
  static constexpr std::array kObsHigh = {kRightEnd, kMaxSpeed};

  static constexpr std::array kParams = {
      ParamSpec{"force", 0.001, 0.0, 0.01, "speed that a push adds in a step, m a step"},
      ParamSpec{"gravity", 0.0025, 0.0, 0.025, "speed that the steepest slope adds in a step, m a step"},
      ParamSpec{"goal_position", 0.5, -0.3, 0.6, "where the goal begins, m"},
      ParamSpec{"goal_velocity", 0.0, -0.07, 0.07, "lowest velocity that counts at the goal, m a step"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "MountainCar-v0",
      .obs_dim = 2,
      .state_dim = 2,
      .action_kind = ActionKind::kDiscrete,
      .action_dim = 1,
      .num_actions = 3,
      .action_low = {},
      .action_high = {},
      .max_episode_steps = 200,
      .params = kParams,
      .obs_low = kObsLow,
      .obs_high = kObsHigh,
  };

  static Constants derive(std::span<const double> params) {
    return {static_cast<float>(params[0]), static_cast<float>(params[1]), static_cast<float>(params[2]),
            static_cast<float>(params[3])};
  }

  MURMUR_HOST_DEVICE static State reset(const Constants&, Rng& rng) noexcept {
    return {rng.uniform(-0.6F, -0.4F), 0.0F};
  }

  MURMUR_HOST_DEVICE static StepOutcome step(const Constants& constants, State& state,
                                             const Action& action) noexcept {
    const auto [force, gravity, goal_position, goal_velocity] = constants;
    const auto [position, velocity] = state;
    const float pushed = velocity + ((action[0] - 1.0F) * force - gravity * sincos(3.0F * position).cos);
    const float speed = clip(pushed, -kMaxSpeed, kMaxSpeed);
    const float moved = clip(position + speed, kLeftWall, kRightEnd);
    // The left wall stops the car; the right end does not.
    const float kept = moved == kLeftWall ? clip(speed, 0.0F, kMaxSpeed) : speed;
    state = {moved, kept};
    const bool at_goal = (moved >= goal_position) & (kept >= goal_velocity);
    return {-1.0F, at_goal};
  }

  MURMUR_HOST_DEVICE static Observation observe(const Constants&, const State& state) noexcept {
    return state;
  }

 private:
  // Written with `<` so that it becomes a minimum and a maximum, and NaN passes through to be noticed.
  MURMUR_HOST_DEVICE static float clip(float value, float low, float high) noexcept {
    const float below = high < value ? high : value;
    return below < low ? low : below;
  }
};

static_assert(Environment<MountainCar>);

}  // namespace murmur
