#pragma once

#include <array>
#include <span>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// MountainCarContinuous-v0 as Gymnasium 1.4 has it: as mountain_car.hpp, but the push is a number.
///
/// State and observation: position (m), velocity (m a step). Action: push, clipped to [-1, 1]; its cost is
/// that of the clipped push, as behind Gymnasium's ClipAction (without it, Gymnasium charges for pushes that
/// its own action space excludes). Reward: -0.1 push^2, and 100 at the goal, where the episode terminates.
struct MountainCarContinuous {
  using State = std::array<float, 2>;
  using Observation = std::array<float, 2>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 3>;  // in the order of `derive`

  static constexpr float kLeftWall = -1.2F;
  static constexpr float kRightEnd = 0.6F;
  static constexpr float kMaxSpeed = 0.07F;
  static constexpr float kGravity = 0.0025F;
  static constexpr std::array kObsLow = {kLeftWall, -kMaxSpeed};
  static constexpr std::array kObsHigh = {kRightEnd, kMaxSpeed};
  static constexpr std::array kActionLow = {-1.0F};
  static constexpr std::array kActionHigh = {1.0F};

  static constexpr std::array kParams = {
      ParamSpec{"power", 0.0015, 0.0, 0.015, "speed that a full push adds in a step, m a step"},
      ParamSpec{"goal_position", 0.45, -0.3, 0.6, "where the goal begins, m"},
      ParamSpec{"goal_velocity", 0.0, -0.07, 0.07, "lowest velocity that counts at the goal, m a step"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "MountainCarContinuous-v0",
      .obs_dim = 2,
      .state_dim = 2,
      .action_kind = ActionKind::kContinuous,
      .action_dim = 1,
      .num_actions = 0,
      .action_low = kActionLow,
      .action_high = kActionHigh,
      .max_episode_steps = 999,
      .params = kParams,
      .obs_low = kObsLow,
      .obs_high = kObsHigh,
  };

  static Constants derive(std::span<const double> params) {
    return {static_cast<float>(params[0]), static_cast<float>(params[1]), static_cast<float>(params[2])};
  }

  MURMUR_HOST_DEVICE static State reset(const Constants&, Rng& rng) noexcept {
    return {rng.uniform(-0.6F, -0.4F), 0.0F};
  }

  MURMUR_HOST_DEVICE static StepOutcome step(const Constants& constants, State& state,
                                             const Action& action) noexcept {
    const auto [power, goal_position, goal_velocity] = constants;
    const auto [position, velocity] = state;
    const float push = clip(action[0], kActionLow[0], kActionHigh[0]);
    const float pushed = velocity + (push * power - kGravity * sincos(3.0F * position).cos);
    const float speed = clip(pushed, -kMaxSpeed, kMaxSpeed);
    const float moved = clip(position + speed, kLeftWall, kRightEnd);
    // The left wall stops the car; the right end does not.
    const float kept = moved == kLeftWall ? clip(speed, 0.0F, kMaxSpeed) : speed;
    state = {moved, kept};
    const bool at_goal = (moved >= goal_position) & (kept >= goal_velocity);
    return {(at_goal ? 100.0F : 0.0F) - 0.1F * (push * push), at_goal};
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

static_assert(Environment<MountainCarContinuous>);

}  // namespace murmur
