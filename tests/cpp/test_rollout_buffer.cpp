#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/rollout/rollout_buffer.hpp"

namespace murmur {
namespace {

TEST(RolloutBuffer, HasTheDeclaredShapes) {
  const RolloutBuffer buffer({.num_steps = 5, .num_envs = 3, .obs_dim = 4, .action_dim = 2});
  EXPECT_EQ(buffer.num_samples(), 15U);
  EXPECT_EQ(buffer.observations.size(), 60U);
  EXPECT_EQ(buffer.actions.size(), 30U);
  EXPECT_EQ(buffer.values.size(), 18U);
  EXPECT_EQ(buffer.truncated.size(), 15U);
}

TEST(RolloutBuffer, RowsOfAStepDoNotOverlap) {
  RolloutBuffer buffer({.num_steps = 4, .num_envs = 3, .obs_dim = 2, .action_dim = 1});
  for (std::size_t t = 0; t < 4; ++t) {
    std::ranges::fill(buffer.at_step(buffer.observations, t, 2), static_cast<float>(t));
  }
  for (std::size_t i = 0; i < buffer.observations.size(); ++i) {
    EXPECT_EQ(buffer.observations[i], static_cast<float>(i / 6));
  }
  EXPECT_EQ(buffer.at_step(buffer.values, 4).data() + 3, buffer.values.data() + buffer.values.size());
}

TEST(RolloutBuffer, ReturnsAreAdvantagesPlusValues) {
  RolloutBuffer buffer({.num_steps = 6, .num_envs = 2, .obs_dim = 1, .action_dim = 1});
  Rng rng(4);
  for (float& x : buffer.rewards) x = rng.uniform();
  for (float& x : buffer.values) x = rng.uniform();
  buffer.compute_advantages(0.9F, 0.95F);
  std::vector<float> expected(12);
  compute_gae(buffer.gae_input(), 0.9F, 0.95F, expected);
  EXPECT_EQ(buffer.advantages, expected);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(buffer.returns[i], expected[i] + buffer.values[i]);
}

TEST(RolloutBuffer, GapsBecomeCopiesOfOtherSamplesAndAreCounted) {
  RolloutBuffer buffer({.num_steps = 4, .num_envs = 2, .obs_dim = 2, .action_dim = 3});
  std::iota(buffer.observations.begin(), buffer.observations.end(), 0.0F);
  std::iota(buffer.actions.begin(), buffer.actions.end(), 0.0F);
  for (auto* array : {&buffer.log_probs, &buffer.values, &buffer.advantages, &buffer.returns})
    std::iota(array->begin(), array->end(), 0.0F);
  const std::vector<std::size_t> gaps{0, 3, 4};
  Rng rng(1);
  buffer.fill_gaps(gaps, rng);
  EXPECT_EQ(buffer.num_gaps(), 3U);
  for (std::size_t i = 0; i < 8; ++i) {
    const float from = buffer.returns[i];
    EXPECT_EQ(std::ranges::binary_search(gaps, i), from != static_cast<float>(i)) << i;
    EXPECT_FALSE(std::ranges::binary_search(gaps, static_cast<std::size_t>(from))) << i;
    EXPECT_EQ(buffer.observations[2 * i + 1], 2.0F * from + 1.0F);
    EXPECT_EQ(buffer.actions[3 * i + 2], 3.0F * from + 2.0F);
    for (const auto* array : {&buffer.log_probs, &buffer.values, &buffer.advantages})
      EXPECT_EQ((*array)[i], from);
  }
  buffer.fill_gaps({}, rng);
  EXPECT_EQ(buffer.num_gaps(), 0U);
}

TEST(RolloutBuffer, EmptyOrAbsurdShapesAreNamed) {
  EXPECT_MESSAGE(RolloutBuffer({.num_steps = 0, .num_envs = 1, .obs_dim = 1, .action_dim = 1}),
                 std::invalid_argument, "num_steps must be at least 1");
  EXPECT_MESSAGE(RolloutBuffer({.num_steps = ~0ULL, .num_envs = ~0ULL, .obs_dim = 1, .action_dim = 1}),
                 std::invalid_argument, "too large");
  EXPECT_MESSAGE(RolloutBuffer({.num_steps = 1, .num_envs = 1, .obs_dim = 1, .action_dim = 0}),
                 std::invalid_argument, "action_dim");
}

}  // namespace
}  // namespace murmur
