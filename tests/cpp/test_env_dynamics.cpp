// Single steps against Gymnasium's own (golden_transitions.hpp), and the distributions of first states.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "golden_transitions.hpp"
#include "murmur/envs/cartpole.hpp"
#include "murmur/envs/pendulum.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

// 1e-5 relative, and as much absolute where a number near 0 is the difference of larger ones.
void expect_close(double got, double expected, const std::string& what) {
  EXPECT_NEAR(got, expected, 1e-5 * std::abs(expected) + 1e-6) << what;
}

void expect_transition(VectorEnv& env, const GoldenTransition& golden, std::size_t row) {
  const std::string where = "row " + std::to_string(row);
  const EnvVariant variant{.params = golden.params, .count = 1};
  env.assign_variants(std::span(&variant, 1));
  const std::vector<float> state(golden.state.begin(), golden.state.end());
  env.set_state(0, state);
  StepBuffers out(1, env.spec().obs_dim);
  const auto action = static_cast<float>(golden.action);
  env.step(std::span(&action, 1), out.output());

  const auto& observation = golden.terminated ? out.final_observations : out.observations;
  for (std::size_t k = 0; k < observation.size(); ++k) {
    expect_close(static_cast<double>(observation[k]), golden.observation[k],
                 where + ", observation " + std::to_string(k));
  }
  expect_close(static_cast<double>(out.rewards[0]), golden.reward, where + ", reward");
  EXPECT_EQ(out.terminated[0] != 0, golden.terminated) << where;
  EXPECT_EQ(out.truncated[0], 0) << where;
}

TEST(CartPole, StepsLikeGymnasium) {
  const auto env = make_vector_env("CartPole-v1", 1, 0, std::make_shared<ThreadPool>(1));
  std::size_t ended = 0;
  for (std::size_t row = 0; row < kGoldenCartPole.size(); ++row) {
    expect_transition(*env, kGoldenCartPole[row], row);
    ended += kGoldenCartPole[row].terminated ? 1 : 0;
  }
  EXPECT_GE(kGoldenCartPole.size(), 100U);
  EXPECT_GE(ended, 5U) << "the table must contain terminations";
}

TEST(Pendulum, StepsLikeGymnasium) {
  const auto env = make_vector_env("Pendulum-v1", 1, 0, std::make_shared<ThreadPool>(1));
  for (std::size_t row = 0; row < kGoldenPendulum.size(); ++row)
    expect_transition(*env, kGoldenPendulum[row], row);
  EXPECT_GE(kGoldenPendulum.size(), 100U);
}

TEST(CartPole, TerminatesExactlyBeyondTheLimits) {
  const CartPole::Constants still = {9.8F, 0.05F, 0.66F, 0.0F, 0.0F};  // tau 0: the state stays
  const auto terminates = [&](float x, float angle) {
    CartPole::State state = {x, 0.0F, angle, 0.0F};
    return CartPole::step(still, state, {0.0F}).terminated;
  };
  const float angle = CartPole::kAngleLimit;
  EXPECT_FALSE(terminates(2.4F, angle));
  EXPECT_FALSE(terminates(-2.4F, -angle));
  EXPECT_TRUE(terminates(std::nextafter(2.4F, 3.0F), 0.0F));
  EXPECT_TRUE(terminates(-std::nextafter(2.4F, 3.0F), 0.0F));
  EXPECT_TRUE(terminates(0.0F, std::nextafter(angle, 1.0F)));
  EXPECT_TRUE(terminates(0.0F, -std::nextafter(angle, 1.0F)));
}

TEST(Pendulum, KeepsTheAngleBoundedForEver) {
  const auto env = make_vector_env("Pendulum-v1", 1, 3, std::make_shared<ThreadPool>(1));
  StepBuffers out(1, 3);
  std::vector<float> state(2);
  const float torque = 2.0F;
  env->set_state(0, std::vector<float>{3.0F, 8.0F});
  for (int t = 0; t < 2000; ++t) {
    env->step(std::span(&torque, 1), out.output());
    env->get_state(0, state);
    ASSERT_LE(std::abs(state[0]), std::numbers::pi_v<float> + 1e-6F) << "step " << t;
    ASSERT_LE(std::abs(state[1]), 8.0F) << "step " << t;
    ASSERT_NEAR(std::hypot(out.observations[0], out.observations[1]), 1.0F, 1e-6F);
  }
}

// Kolmogorov-Smirnov against the uniform distribution that Gymnasium's reset draws from, each dimension.
void expect_uniform_reset(std::string_view name, const std::vector<double>& limits) {
  constexpr std::size_t kEnvs = 20000;
  const auto env = make_vector_env(name, kEnvs, 17, std::make_shared<ThreadPool>(1));
  std::vector<float> state(limits.size());
  for (std::size_t k = 0; k < limits.size(); ++k) {
    std::vector<double> values;
    for (std::size_t i = 0; i < kEnvs; ++i) {
      env->get_state(i, state);
      values.push_back((static_cast<double>(state[k]) / limits[k] + 1.0) / 2.0);
    }
    std::ranges::sort(values);
    double distance = 0.0;
    for (std::size_t i = 0; i < kEnvs; ++i) {
      distance = std::max(distance, std::abs(values[i] - (static_cast<double>(i) + 0.5) / kEnvs));
    }
    EXPECT_LT(distance, 1.95 / std::sqrt(kEnvs)) << name << ", dimension " << k;  // p = 0.001
  }
}

TEST(CartPole, ResetsUniformlyWithinFiveHundredths) {
  expect_uniform_reset("CartPole-v1", {0.05, 0.05, 0.05, 0.05});
}
TEST(Pendulum, ResetsUniformlyOverAllAngles) {
  expect_uniform_reset("Pendulum-v1", {std::numbers::pi, 1.0});
}

}  // namespace
}  // namespace murmur
