#pragma once

#include <array>
#include <numbers>
#include <span>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// Acrobot-v1 as Gymnasium 1.4 has it: swing the tip of a two-link arm up by a motor in its elbow
/// (Sutton 1996; dynamics of "the book", not of the NIPS paper).
///
/// State: angle of the first link from hanging (rad), angle of the second from the first, both kept in
/// [-pi, pi]; their velocities (rad/s). Observation: cosine and sine of each angle, then the velocities.
/// Actions: torque -1, 0 or 1. Reward -1 a step, 0 for the last. Terminates when the tip is higher than one
/// link above the fixed joint. Steps in double precision: near the speed limits one step of 0.2 s makes a
/// rounding error a thousand times larger.
struct Acrobot {
  using State = std::array<float, 4>;
  using Observation = std::array<float, 6>;
  using Action = std::array<float, 1>;
  using Constants = std::array<double, 7>;  // in the order of `derive`

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
    return {shoulder, elbow, m2 * l1 * c2, (m1 * c1 + m2 * l1) * g, m2 * c2 * g, params[7], params[8]};
  }

  MURMUR_HOST_DEVICE static State reset(const Constants&, Rng& rng) noexcept {
    State state;
    for (float& value : state) value = rng.uniform(-0.1F, 0.1F);
    return state;
  }

  MURMUR_HOST_DEVICE static StepOutcome step(const Constants& constants, State& state,
                                             const Action& action) noexcept {
    const double dt = constants[6];
    const double torque = (static_cast<double>(action[0]) - 1.0) * constants[5];
    const Motion start = {state[0], state[1], state[2], state[3]};
    // Classical Runge-Kutta, fourth order, one step.
    const Motion k1 = slope(constants, start, torque);
    const Motion k2 = slope(constants, along(start, 0.5 * dt, k1), torque);
    const Motion k3 = slope(constants, along(start, 0.5 * dt, k2), torque);
    const Motion k4 = slope(constants, along(start, dt, k3), torque);
    const double sixth = dt / 6.0;
    state = {wrap(start[0] + sixth * (k1[0] + 2.0 * (k2[0] + k3[0]) + k4[0])),
             wrap(start[1] + sixth * (k1[1] + 2.0 * (k2[1] + k3[1]) + k4[1])),
             clip(start[2] + sixth * (k1[2] + 2.0 * (k2[2] + k3[2]) + k4[2]), kMaxSpeed1),
             clip(start[3] + sixth * (k1[3] + 2.0 * (k2[3] + k3[3]) + k4[3]), kMaxSpeed2)};
    const auto [sin1, cos1] = sincos(state[0]);
    const auto [sin2, cos2] = sincos(state[1]);
    const bool up = -cos1 - (cos1 * cos2 - sin1 * sin2) > 1.0F;
    return {up ? 0.0F : -1.0F, up};
  }

  MURMUR_HOST_DEVICE static Observation observe(const Constants&, const State& state) noexcept {
    const SinCos first = sincos(state[0]), second = sincos(state[1]);
    return {first.cos, first.sin, second.cos, second.sin, state[2], state[3]};
  }

 private:
  using Motion = std::array<double, 4>;  // a state, or its change a second

  // Gymnasium's _dsdt. Its cos(x - pi/2) is sin(x), the sine of the sum is taken apart, and the fraction for
  // `acceleration2` is expanded by d1, which saves a division and three sines a slope.
  MURMUR_HOST_DEVICE static Motion slope(const Constants& constants, const Motion& motion,
                                         double torque) noexcept {
    const auto [shoulder, elbow, coupling, weight1, weight2, max_torque, dt] = constants;
    const auto [angle1, angle2, speed1, speed2] = motion;
    const auto [sin1, cos1] = sincos(angle1);
    const auto [sin2, cos2] = sincos(angle2);
    const double d1 = shoulder + 2.0 * coupling * cos2;
    const double d2 = elbow + coupling * cos2;
    const double phi2 = weight2 * (sin1 * cos2 + cos1 * sin2);
    const double phi1 = weight1 * sin1 - coupling * sin2 * speed2 * (speed2 + 2.0 * speed1) + phi2;
    const double pull = torque - coupling * speed1 * speed1 * sin2 - phi2;
    const double acceleration2 = (d1 * pull + d2 * phi1) / (d1 * elbow - d2 * d2);
    const double acceleration1 = -(d2 * acceleration2 + phi1) / d1;
    return {speed1, speed2, acceleration1, acceleration2};
  }

  MURMUR_HOST_DEVICE static Motion along(const Motion& motion, double dt, const Motion& slope) noexcept {
    return {motion[0] + dt * slope[0], motion[1] + dt * slope[1], motion[2] + dt * slope[2],
            motion[3] + dt * slope[3]};
  }

  // Written with `<` so that it becomes a minimum and a maximum, and NaN passes through to be noticed.
  MURMUR_HOST_DEVICE static float clip(double value, double limit) noexcept {
    const double below = limit < value ? limit : value;
    return static_cast<float>(below < -limit ? -limit : below);
  }

  // Take whole turns off until the angle lies in [-pi, pi].
  MURMUR_HOST_DEVICE static float wrap(double angle) noexcept {
    constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to the nearest integer
    const double turns = (angle * (0.5 * std::numbers::inv_pi) + kRounder) - kRounder;
    return static_cast<float>(angle - turns * (2.0 * std::numbers::pi));
  }
};

static_assert(Environment<Acrobot>);

}  // namespace murmur
