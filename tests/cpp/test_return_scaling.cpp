#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "expect_message.hpp"
#include "murmur/rollout/return_scaling.hpp"
#include "murmur/rollout/running_moments.hpp"

namespace murmur {
namespace {

using Flags = std::vector<std::uint8_t>;

// The numbers are those of Stable-Baselines3's VecNormalize(norm_obs=False, gamma=0.5) fed with these
// rewards, apart from its initial count of 1e-4, which ours does not have: worked out by hand.
TEST(ReturnScaling, FollowsVecNormalizeStepByStep) {
  DiscountedReturns returns(2, 0.5F);
  RunningMoments moments(1);
  moments.update(returns.add(std::vector<float>{1.0F, 3.0F}), 1);  // returns 1, 3: variance 1
  std::vector<float> scaled(2);
  scale_rewards(std::vector<float>{1.0F, 3.0F}, moments.variance(0), scaled);
  EXPECT_FLOAT_EQ(scaled[0], 1.0F);
  EXPECT_FLOAT_EQ(scaled[1], 3.0F);
  returns.end_episodes(Flags{0, 1}, Flags{0, 0});

  moments.update(returns.add(std::vector<float>{2.0F, 2.0F}), 1);  // returns 2.5, 2: of 1, 3, 2.5, 2
  EXPECT_DOUBLE_EQ(moments.variance(0), 0.546875);
  scale_rewards(std::vector<float>{2.0F, 2.0F}, moments.variance(0), scaled);
  EXPECT_FLOAT_EQ(scaled[0], 2.0F / std::sqrt(0.546875F));
}

TEST(ReturnScaling, EitherKindOfEndRestartsTheReturn) {
  DiscountedReturns returns(3, 0.9F);
  returns.add(std::vector<float>{1.0F, 1.0F, 1.0F});
  returns.end_episodes(Flags{1, 0, 0}, Flags{0, 1, 0});
  const auto now = returns.add(std::vector<float>{1.0F, 1.0F, 1.0F});
  EXPECT_FLOAT_EQ(now[0], 1.0F);
  EXPECT_FLOAT_EQ(now[1], 1.0F);
  EXPECT_FLOAT_EQ(now[2], 1.9F);
  returns.restart(2);
  EXPECT_EQ(returns.values()[2], 0.0F);
}

TEST(ReturnScaling, ClipsAndSurvivesZeroVariance) {
  std::vector<float> out(3);
  scale_rewards(std::vector<float>{1.0F, -1.0F, 0.0F}, 0.0, out);
  EXPECT_EQ(out, (std::vector<float>{10.0F, -10.0F, 0.0F}));
  std::vector<float> rewards = {std::nanf(""), 1.0F, 1.0F};
  scale_rewards(rewards, 1.0, rewards);
  EXPECT_TRUE(std::isnan(rewards[0])) << "a broken env must be noticed, not clipped to 10";
}

TEST(ReturnScaling, BadArgumentsAreNamed) {
  EXPECT_MESSAGE(DiscountedReturns(0, 0.9F), std::invalid_argument, "num_envs");
  EXPECT_MESSAGE(DiscountedReturns(1, 1.5F), std::invalid_argument, "gamma must lie in 0..1, got 1.5");
}

}  // namespace
}  // namespace murmur
