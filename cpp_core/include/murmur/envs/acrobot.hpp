#pragma once

#include <numbers>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// Acrobot-v1 as Gymnasium 1.4 has it: swing the tip of a two-link arm up by a motor in its elbow
/// (Sutton 1996; dynamics of "the book", not of the NIPS paper).
///
/// State: angle of the first link from hanging (rad), angle of the second from the first, both kept in
/// [-pi, pi]; their velocities (rad/s). Observation: cosine and sine of each angle, then the velocities.
/// Actions: torque -1, 0 or 1. Reward -1 a step, 0 for the last. Terminates when the tip is higher than one
/// link above the fixed joint.
struct Acrobot {
  using State = std::array<float, 4>;
  using Observation = std::array<float, 6>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 7>;  // in the order of `derive`

  static constexpr auto kMaxSpeed1 = static_cast<float>(4 * std::numbers::pi);
  static constexpr auto kMaxSpeed2 = static_cast<float>(9 * std::numbers::pi);
  static constexpr std::array kObsLow = {-1.0F, -1.0F, -1.0F, -1.0F, -kMaxSpeed1, -kMaxSpeed2};
  static constexpr std::array kObsHigh = {1.0F, 1.0F, 1.0F, 1.0F, kMaxSpeed1, kMaxSpeed2};

  static constexpr std::array kParams = {
      ParamSpec{"link_length_1", 1.0, 0.1, 10.0, "length of the first link, m"},
      ParamSpec{"link_mass_1", 1.0, 0.01, 100.0, "mass of the first link, kg"},
      ParamSpec{"link_mass_2", 1.0, 0.01, 100.0, "mass of the second link, kg"},
      ParamSpec{"link_com_pos_1", 0.5, 0.0, 10.0, "centre of mass of the first link, from its joint, m"},
      ParamSpec{"link_com_pos_2", 0.5, 0.0, 10.0, "centre of mass of the second link, from its joint, m"},
      ParamSpec{"link_moi", 1.0, 0.01, 100.0, "moment of inertia of each link, kg m^2"},
      ParamSpec{"gravity", 9.8, 0.0, 100.0, "acceleration of gravity, m/s^2"},
      ParamSpec{"torque", 1.0, 0.0, 100.0, "torque of the motor, N m"},
      ParamSpec{"dt", 0.2, 0.001, 0.2, "time between two steps, s"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "Acrobot-v1",
      .obs_dim = 6,
      .state_dim = 4,
      .action_kind = ActionKind::kDiscrete,
      .action_dim = 1,
      .num_actions = 3,
      .action_low = {},
      .action_high = {},
      .max_episode_steps = 500,
      .params = kParams,
      .obs_low = kObsLow,
      .obs_high = kObsHigh,
  };

  // The terms of Gymnasium's d1, d2, phi1 and phi2 that no state changes.
  static Constants derive(std::span<const double> params) {
    const double l1 = params[0], m1 = params[1], m2 = params[2], c1 = params[3], c2 = params[4];
    const double inertia = params[5], g = params[6];
    const double elbow = m2 * c2 * c2 + inertia;
    const double shoulder = m1 * c1 * c1 + m2 * l1 * l1 + elbow + inertia;
    return {static_cast<float>(shoulder),     static_cast<float>(elbow),
            static_cast<float>(m2 * l1 * c2), static_cast<float>((m1 * c1 + m2 * l1) * g),
            static_cast<float>(m2 * c2 * g),  static_cast<float>(params[7]),
            static_cast<float>(params[8])};
  }

  static State reset(const Constants&, Rng& rng) noexcept {
    State state;
    for (float& value : state) value = rng.uniform(-0.1F, 0.1F);
    return state;
  }

  static StepOutcome step(const Constants& constants, State& state, const Action& action) noexcept {
    const float dt = constants[6];
    const float torque = (action[0] - 1.0F) * constants[5];
    // Classical Runge-Kutta, fourth order, one step.
    const State k1 = slope(constants, state, torque);
    const State k2 = slope(constants, along(state, 0.5F * dt, k1), torque);
    const State k3 = slope(constants, along(state, 0.5F * dt, k2), torque);
    const State k4 = slope(constants, along(state, dt, k3), torque);
    State next;
    for (std::size_t k = 0; k < 4; ++k) {
      next[k] = state[k] + dt * (1.0F / 6.0F) * (k1[k] + 2.0F * (k2[k] + k3[k]) + k4[k]);
    }
    state = {wrap(next[0]), wrap(next[1]), clip(next[2], kMaxSpeed1), clip(next[3], kMaxSpeed2)};
    const auto [sin1, cos1] = sincos(state[0]);
    const auto [sin2, cos2] = sincos(state[1]);
    const bool up = -cos1 - (cos1 * cos2 - sin1 * sin2) > 1.0F;
    return {up ? 0.0F : -1.0F, up};
  }

  static Observation observe(const Constants&, const State& state) noexcept {
    const SinCos first = sincos(state[0]), second = sincos(state[1]);
    return {first.cos, first.sin, second.cos, second.sin, state[2], state[3]};
  }

 private:
  // Gymnasium's _dsdt. Its cos(x - pi/2) is sin(x), the sine of the sum is taken apart, and the fraction for
  // `acceleration2` is expanded by d1, which saves a division and three sines a slope.
  static State slope(const Constants& constants, const State& state, float torque) noexcept {
    const auto [shoulder, elbow, coupling, weight1, weight2, max_torque, dt] = constants;
    const auto [angle1, angle2, speed1, speed2] = state;
    const auto [sin1, cos1] = sincos(angle1);
    const auto [sin2, cos2] = sincos(angle2);
    const float d1 = shoulder + 2.0F * coupling * cos2;
    const float d2 = elbow + coupling * cos2;
    const float phi2 = weight2 * (sin1 * cos2 + cos1 * sin2);
    const float phi1 = weight1 * sin1 - coupling * sin2 * speed2 * (speed2 + 2.0F * speed1) + phi2;
    const float pull = torque - coupling * speed1 * speed1 * sin2 - phi2;
    const float acceleration2 = (d1 * pull + d2 * phi1) / (d1 * elbow - d2 * d2);
    const float acceleration1 = -(d2 * acceleration2 + phi1) / d1;
    return {speed1, speed2, acceleration1, acceleration2};
  }

  static State along(const State& state, float dt, const State& slope) noexcept {
    State moved;
    for (std::size_t k = 0; k < 4; ++k) moved[k] = state[k] + dt * slope[k];
    return moved;
  }

  // Written with `<` so that it becomes a minimum and a maximum, and NaN passes through to be noticed.
  static float clip(float value, float limit) noexcept {
    const float below = limit < value ? limit : value;
    return below < -limit ? -limit : below;
  }

  // Take whole turns off until the angle lies in [-pi, pi]. 2 pi is taken off in two parts, because the float
  // nearest to it is 1.7e-7 off.
  static float wrap(float angle) noexcept {
    constexpr float kRounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to the nearest integer
    constexpr float kTwoPiHigh = 6.28125F;
    constexpr auto kTwoPiLow = static_cast<float>(2 * std::numbers::pi - 6.28125);
    const float turns = (angle * (0.5F * std::numbers::inv_pi_v<float>)+kRounder) - kRounder;
    return (angle - turns * kTwoPiHigh) - turns * kTwoPiLow;
  }
};

static_assert(Environment<Acrobot>);

}  // namespace murmur
