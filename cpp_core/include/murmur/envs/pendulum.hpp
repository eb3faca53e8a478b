#pragma once

#include <array>
#include <numbers>
#include <span>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// Pendulum-v1 as Gymnasium 1.4 has it: swing a rod up and hold it there with a weak motor.
///
/// State: angle from upright (rad), velocity (rad/s). Unlike Gymnasium's, the angle is kept in [-pi, pi]:
/// nothing but its sine, cosine and normalised value is ever used, and a float loses digits as it grows.
/// Observation: cosine, sine, velocity. Action: torque (N m), clipped to [-2, 2].
/// Reward: -(angle^2 + 0.1 velocity^2 + 0.001 torque^2) of the state before the step. Never terminates.
struct Pendulum {
  using State = std::array<float, 2>;
  using Observation = std::array<float, 3>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 3>;  // in the order of `derive`

  static constexpr float kMaxSpeed = 8.0F;
  static constexpr std::array kActionLow = {-2.0F};
  static constexpr std::array kActionHigh = {2.0F};

  static constexpr std::array kObsLow = {-1.0F, -1.0F, -kMaxSpeed};
  static constexpr std::array kObsHigh = {1.0F, 1.0F, kMaxSpeed};

  static constexpr std::array kParams = {
      ParamSpec{"g", 10.0, 0.0, 100.0, "acceleration of gravity, m/s^2"},
      ParamSpec{"m", 1.0, 0.01, 100.0, "mass of the rod, kg"},
      ParamSpec{"l", 1.0, 0.01, 10.0, "length of the rod, m"},
      ParamSpec{"dt", 0.05, 0.001, 0.2, "time between two steps, s"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "Pendulum-v1",
      .obs_dim = 3,
      .state_dim = 2,
      .action_kind = ActionKind::kContinuous,
      .action_dim = 1,
      .num_actions = 0,
      .action_low = kActionLow,
      .action_high = kActionHigh,
      .max_episode_steps = 200,
      .params = kParams,
      .obs_low = kObsLow,
      .obs_high = kObsHigh,
  };

  static Constants derive(std::span<const double> params) {
    const double g = params[0], m = params[1], l = params[2], dt = params[3];
    return {static_cast<float>(3.0 * g / (2.0 * l) * dt), static_cast<float>(3.0 / (m * l * l) * dt),
            static_cast<float>(dt)};
  }

  MURMUR_HOST_DEVICE static State reset(const Constants&, Rng& rng) noexcept {
    constexpr auto kPi = std::numbers::pi_v<float>;
    const float angle = rng.uniform(-kPi, kPi);
    return {angle, rng.uniform(-1.0F, 1.0F)};
  }

  MURMUR_HOST_DEVICE static StepOutcome step(const Constants& constants, State& state,
                                             const Action& action) noexcept {
    const auto [gravity_gain, torque_gain, dt] = constants;
    const float angle = wrap(state[0]);
    const float speed = state[1];
    const float torque = clip(action[0], kActionHigh[0]);
    const float cost = angle * angle + 0.1F * (speed * speed) + 0.001F * (torque * torque);
    const float new_speed =
        clip(speed + (gravity_gain * sincos(angle).sin + torque_gain * torque), kMaxSpeed);
    state = {wrap(angle + new_speed * dt), new_speed};
    return {-cost, false};
  }

  MURMUR_HOST_DEVICE static Observation observe(const Constants&, const State& state) noexcept {
    const SinCos angle = sincos(state[0]);
    return {angle.cos, angle.sin, state[1]};
  }

 private:
  // Written with `<` so that it becomes a minimum and a maximum, and NaN passes through to be noticed.
  MURMUR_HOST_DEVICE static float clip(float value, float limit) noexcept {
    const float below = limit < value ? limit : value;
    return below < -limit ? -limit : below;
  }

  // Bring an angle into [-pi, pi]. 2 pi is taken off in two parts, because the float nearest to it is 1.7e-7
  // off.
  MURMUR_HOST_DEVICE static float wrap(float angle) noexcept {
    constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to the nearest integer
    constexpr float kTwoPiHigh = 6.28125F;
    constexpr auto kTwoPiLow = static_cast<float>(2 * std::numbers::pi - 6.28125);
    const float turns = (angle * (0.5F * std::numbers::inv_pi_v<float>)+kRounder) - kRounder;
    return (angle - turns * kTwoPiHigh) - turns * kTwoPiLow;
  }
};

static_assert(Environment<Pendulum>);

}  // namespace murmur
