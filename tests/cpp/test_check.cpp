#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

TEST(Check, BrokenInvariantEndsTheProcessAndNamesTheCondition) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(MURMUR_ASSERT(1 + 1 == 3), "invariant broken: 1 \\+ 1 == 3");
}

TEST(Check, WrongSizeIsNamed) {
  EXPECT_NO_THROW(check_size("rewards", 3, 3));
  EXPECT_MESSAGE(check_size("rewards", 3, 4), std::invalid_argument, "rewards needs 3 elements, got 4");
}

TEST(Check, FirstNonFiniteElementIsNamed) {
  std::vector<float> values = {1.0F, 2.0F, 3.0F};
  EXPECT_NO_THROW(check_finite("obs", std::span<const float>(values)));
  values[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(check_finite("obs", std::span<const float>(values)), std::invalid_argument, "obs[1] is nan");
  values[1] = -std::numeric_limits<float>::infinity();
  EXPECT_MESSAGE(check_finite("obs", std::span<const float>(values)), std::invalid_argument,
                 "obs[1] is -inf");
}

TEST(Check, SuggestsTheNearestName) {
  constexpr std::array<std::string_view, 3> kNames = {"CartPole-v1", "Pendulum-v1", "Acrobot-v1"};
  EXPECT_EQ(suggest_name("Pendulum", kNames),
            "'CartPole-v1', 'Pendulum-v1', 'Acrobot-v1'; the nearest is 'Pendulum-v1'");
  EXPECT_NE(suggest_name("cartpole-v0", kNames).find("nearest is 'CartPole-v1'"), std::string::npos);
  EXPECT_FALSE(suggest_name("", kNames).empty());
  EXPECT_FALSE(suggest_name(std::string(1 << 20, 'x'), kNames).empty())
      << "a hostile name must not cost minutes";
}

}  // namespace
}  // namespace murmur
