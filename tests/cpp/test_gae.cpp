// GAE against its other definition: the lambda-weighted average of n-step advantages, summed the slow way.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/rollout/gae.hpp"

namespace murmur {
namespace {

struct Rollout {
  std::size_t num_steps, num_envs;
  std::vector<float> rewards, values, final_values;
  std::vector<std::uint8_t> terminated, truncated;

  Rollout(std::size_t t, std::size_t n)
      : num_steps(t),
        num_envs(n),
        rewards(t * n),
        values((t + 1) * n),
        final_values(t * n),
        terminated(t * n),
        truncated(t * n) {}

  [[nodiscard]] GaeInput input() const {
    return {num_steps, num_envs, rewards, values, terminated, truncated, final_values};
  }

  [[nodiscard]] std::vector<float> gae(float gamma, float lambda) const {
    std::vector<float> advantages(num_steps * num_envs);
    compute_gae(input(), gamma, lambda, advantages);
    return advantages;
  }
};

Rollout random_rollout(std::size_t t, std::size_t n, Rng& rng) {
  Rollout rollout(t, n);
  for (float& x : rollout.rewards) x = rng.uniform(-1.0F, 1.0F);
  for (float& x : rollout.values) x = rng.uniform(-2.0F, 2.0F);
  for (float& x : rollout.final_values) x = rng.uniform(-2.0F, 2.0F);
  for (auto& x : rollout.terminated) x = rng.uniform() < 0.15F ? 1 : 0;
  for (auto& x : rollout.truncated) x = rng.uniform() < 0.15F ? 1 : 0;
  return rollout;
}

// (1 - lambda) * sum lambda^(n-1) A^(n), the last one taking the rest of the weight; A^(n) = n-step return -
// value.
double brute_force(const Rollout& r, std::size_t t, std::size_t env, double gamma, double lambda) {
  const auto at = [&](std::size_t step) { return step * r.num_envs + env; };
  double reward_sum = 0.0, advantage = 0.0, weight_left = 1.0;
  for (std::size_t n = 1;; ++n) {
    const std::size_t last = t + n - 1;
    const bool terminated = r.terminated[at(last)] != 0, truncated = r.truncated[at(last)] != 0;
    reward_sum += std::pow(gamma, static_cast<double>(n - 1)) * static_cast<double>(r.rewards[at(last)]);
    double bootstrap = static_cast<double>(r.values[at(last + 1)]);
    if (truncated) bootstrap = static_cast<double>(r.final_values[at(last)]);
    if (terminated) bootstrap = 0.0;
    const double n_step = reward_sum + std::pow(gamma, static_cast<double>(n)) * bootstrap -
                          static_cast<double>(r.values[at(t)]);
    if (terminated || truncated || last + 1 == r.num_steps) return advantage + weight_left * n_step;
    advantage += (1.0 - lambda) * std::pow(lambda, static_cast<double>(n - 1)) * n_step;
    weight_left = std::pow(lambda, static_cast<double>(n));
  }
}

TEST(Gae, EqualsTheAverageOfNStepAdvantages) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    const std::size_t t = 1 + rng.below(40), n = 1 + rng.below(5);
    const Rollout rollout = random_rollout(t, n, rng);
    const float gamma = rng.uniform(0.5F, 1.0F), lambda = rng.uniform(0.0F, 1.0F);
    const auto advantages = rollout.gae(gamma, lambda);
    for (std::size_t i = 0; i < t * n; ++i) {
      ASSERT_NEAR(static_cast<double>(advantages[i]),
                  brute_force(rollout, i / n, i % n, static_cast<double>(gamma), static_cast<double>(lambda)),
                  2e-5)
          << "round " << round << ", element " << i;
    }
  }
}

TEST(Gae, LambdaOneIsTheReturnAndLambdaZeroTheTdError) {
  Rollout rollout(3, 1);
  rollout.rewards = {1.0F, 2.0F, 3.0F};
  rollout.values = {0.5F, 0.25F, 0.125F, 4.0F};
  EXPECT_FLOAT_EQ(rollout.gae(0.5F, 1.0F)[0], 1.0F + 0.5F * 2.0F + 0.25F * 3.0F + 0.125F * 4.0F - 0.5F);
  EXPECT_FLOAT_EQ(rollout.gae(0.5F, 0.0F)[0], 1.0F + 0.5F * 0.25F - 0.5F);
}

TEST(Gae, TerminatedStepIsFollowedByNothing) {
  Rollout rollout(2, 1);
  rollout.rewards = {1.0F, 0.0F};
  rollout.values = {0.0F, 100.0F, 100.0F};
  rollout.final_values = {100.0F, 100.0F};
  rollout.terminated = {1, 0};
  EXPECT_FLOAT_EQ(rollout.gae(0.9F, 0.9F)[0], 1.0F);
  rollout.truncated = {1, 0};
  EXPECT_FLOAT_EQ(rollout.gae(0.9F, 0.9F)[0], 1.0F) << "where both are set, terminated wins";
}

TEST(Gae, TruncatedStepBootstrapsFromItsOwnFinalObservation) {
  Rollout rollout(2, 1);
  rollout.rewards = {1.0F, 0.0F};
  rollout.values = {0.0F, 100.0F, 100.0F};  // values of the next episode: must not leak in
  rollout.final_values = {10.0F, 0.0F};
  rollout.truncated = {1, 0};
  EXPECT_FLOAT_EQ(rollout.gae(0.5F, 0.9F)[0], 1.0F + 0.5F * 10.0F);
}

TEST(Gae, FinalValuesAreReadOnlyWhereTruncated) {
  Rng rng(2);
  Rollout rollout = random_rollout(20, 3, rng);
  const auto expected = rollout.gae(0.9F, 0.8F);
  for (std::size_t i = 0; i < rollout.final_values.size(); ++i) {
    if (rollout.truncated[i] == 0 || rollout.terminated[i] != 0) {
      rollout.final_values[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }
  EXPECT_EQ(rollout.gae(0.9F, 0.8F), expected);
}

TEST(Gae, BadShapesAndFactorsAreNamed) {
  Rollout good(2, 3);
  std::vector<float> advantages(6);
  const auto run = [&](const GaeInput& in, float gamma, float lambda) {
    compute_gae(in, gamma, lambda, advantages);
  };
  Rollout bad = good;
  bad.values.pop_back();
  EXPECT_MESSAGE(run(bad.input(), 0.9F, 0.9F), std::invalid_argument, "values needs 9 elements, got 8");
  bad = good;
  bad.truncated.clear();
  EXPECT_MESSAGE(run(bad.input(), 0.9F, 0.9F), std::invalid_argument, "truncated needs 6");
  bad = good;
  bad.num_steps = 0;
  EXPECT_MESSAGE(run(bad.input(), 0.9F, 0.9F), std::invalid_argument, "at least 1");
  EXPECT_MESSAGE(run(good.input(), 1.1F, 0.9F), std::invalid_argument, "gamma must lie in 0..1, got 1.1");
  EXPECT_MESSAGE(run(good.input(), 0.9F, std::nanf("")), std::invalid_argument, "lambda must lie in 0..1");
  advantages.pop_back();
  EXPECT_MESSAGE(run(good.input(), 0.9F, 0.9F), std::invalid_argument, "advantages needs 6");
}

}  // namespace
}  // namespace murmur
