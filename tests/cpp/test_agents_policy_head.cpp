// The two action distributions against their definitions in double precision.

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "murmur/agents/policy_head.hpp"

namespace murmur {
namespace {

TEST(Categorical, LogSoftmaxAndEntropyMatchTheDefinition) {
  const std::vector<float> logits{0.3F, -1.2F, 2.5F, 0.0F};
  std::vector<float> log_probs(4);
  const float entropy = log_softmax(logits, log_probs);
  double sum = 0.0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z));
  double expected_entropy = 0.0;
  for (std::size_t j = 0; j < 4; ++j) {
    const double log_p = static_cast<double>(logits[j]) - std::log(sum);
    EXPECT_NEAR(log_probs[j], log_p, 1e-6);
    expected_entropy -= std::exp(log_p) * log_p;
  }
  EXPECT_NEAR(entropy, expected_entropy, 1e-6);
}

TEST(Categorical, ExtremeLogitsNeitherOverflowNorGiveNaN) {
  std::vector<float> log_probs(3);
  for (const auto& logits :
       {std::vector<float>{1e30F, 0.0F, -1e30F}, std::vector<float>{-500.0F, -500.0F, -500.0F},
        std::vector<float>{88.0F, 89.0F, 3e38F}}) {
    const float entropy = log_softmax(logits, log_probs);
    EXPECT_TRUE(std::isfinite(entropy));
    EXPECT_GE(entropy, 0.0F);
    for (const float lp : log_probs) EXPECT_LE(lp, 0.0F);
  }
}

TEST(Categorical, GreedyTakesTheFirstOfEquals) {
  EXPECT_EQ(greedy_choice(std::vector<float>{1.0F, 3.0F, 3.0F}), 1U);
  EXPECT_EQ(greedy_choice(std::vector<float>{-7.0F}), 0U);
}

TEST(Gaussian, LogProbAndEntropyMatchTheDensity) {
  const std::vector<float> log_std{-0.5F, 0.7F};
  const std::vector<float> mean{1.0F, -2.0F};
  const std::vector<float> action{0.2F, 1.5F};
  const GaussianScale gaussian(log_std);
  double log_prob = 0.0;
  double entropy = 0.0;
  for (std::size_t j = 0; j < 2; ++j) {
    const double std = std::exp(static_cast<double>(log_std[j]));
    const double z = (static_cast<double>(action[j]) - static_cast<double>(mean[j])) / std;
    log_prob += -0.5 * z * z - std::log(std * std::sqrt(2.0 * std::numbers::pi));
    entropy += std::log(std * std::sqrt(2.0 * std::numbers::pi * std::numbers::e));
  }
  EXPECT_NEAR(gaussian.log_prob(mean, action), log_prob, 1e-5);
  EXPECT_NEAR(gaussian.entropy(), entropy, 1e-6);
}

}  // namespace
}  // namespace murmur
