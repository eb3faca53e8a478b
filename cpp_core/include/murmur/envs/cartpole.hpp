#pragma once

#include <array>
#include <limits>
#include <numbers>
#include <span>

#include "murmur/base/sincos.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// CartPole-v1 as Gymnasium 1.4 has it: Barto, Sutton and Anderson 1983, with Florian's corrected equations.
///
/// State and observation: cart position (m), cart velocity (m/s), pole angle (rad), pole velocity (rad/s).
/// Actions: 0 pushes left, 1 pushes right. Reward 1 a step, also for the last. Terminates when the cart is
/// farther than 2.4 m out or the pole leans by more than 12 degrees.
struct CartPole {
  using State = std::array<float, 4>;
  using Observation = std::array<float, 4>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 5>;  // in the order of `derive`

  static constexpr float kPositionLimit = 2.4F;
  static constexpr float kAngleLimit = static_cast<float>(12 * 2 * std::numbers::pi / 360);

  // Twice the limits, so that the last observation of an episode is within the bounds too.
  static constexpr std::array kObsHigh = {2 * kPositionLimit, std::numeric_limits<float>::infinity(),
                                          2 * kAngleLimit, std::numeric_limits<float>::infinity()};
  static constexpr std::array kObsLow = {-kObsHigh[0], -kObsHigh[1], -kObsHigh[2], -kObsHigh[3]};

  static constexpr std::array kParams = {
      ParamSpec{"gravity", 9.8, 0.1, 100.0, "acceleration of gravity, m/s^2"},
      ParamSpec{"masscart", 1.0, 0.01, 100.0, "mass of the cart, kg"},
      ParamSpec{"masspole", 0.1, 0.001, 100.0, "mass of the pole, kg"},
      ParamSpec{"length", 0.5, 0.01, 10.0, "half the length of the pole, m"},
      ParamSpec{"force_mag", 10.0, 0.1, 1000.0, "force of a push, N"},
      ParamSpec{"tau", 0.02, 0.001, 0.1, "time between two steps, s"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "CartPole-v1",
      .obs_dim = 4,
      .state_dim = 4,
      .action_kind = ActionKind::kDiscrete,
      .action_dim = 1,
      .num_actions = 2,
      .action_low = {},
      .action_high = {},
      .max_episode_steps = 500,
      .params = kParams,
      .obs_low = kObsLow,
      .obs_high = kObsHigh,
  };

  static Constants derive(std::span<const double> params) {
    const double gravity = params[0], total_mass = params[1] + params[2], length = params[3];
    const double pole_moment = params[2] * length / total_mass;  // Gymnasium's polemass_length / total_mass
    const double force = params[4] / total_mass;
    return {static_cast<float>(gravity), static_cast<float>(pole_moment),
            static_cast<float>(length * 4.0 / 3.0), static_cast<float>(force), static_cast<float>(params[5])};
  }

  MURMUR_HOST_DEVICE static State reset(const Constants&, Rng& rng) noexcept {
    State state;
    for (float& value : state) value = rng.uniform(-0.05F, 0.05F);
    return state;
  }

  MURMUR_HOST_DEVICE static StepOutcome step(const Constants& constants, State& state,
                                             const Action& action) noexcept {
    const auto [gravity, pole_moment, length_4_3, push, tau] = constants;
    const auto [x, x_dot, theta, theta_dot] = state;
    const auto [sin_theta, cos_theta] = sincos(theta);
    const float force = action[0] == 1.0F ? push : -push;
    const float temp = force + pole_moment * theta_dot * theta_dot * sin_theta;
    const float theta_acc =
        (gravity * sin_theta - cos_theta * temp) / (length_4_3 - pole_moment * cos_theta * cos_theta);
    const float x_acc = temp - pole_moment * theta_acc * cos_theta;
    // Explicit Euler: positions move by the old velocities, as in the original program.
    state = {x + tau * x_dot, x_dot + tau * x_acc, theta + tau * theta_dot, theta_dot + tau * theta_acc};
    const bool terminated = (state[0] < -kPositionLimit) | (state[0] > kPositionLimit) |
                            (state[2] < -kAngleLimit) | (state[2] > kAngleLimit);
    return {1.0F, terminated};
  }

  MURMUR_HOST_DEVICE static Observation observe(const Constants&, const State& state) noexcept {
    return state;
  }
};

static_assert(Environment<CartPole>);

}  // namespace murmur
