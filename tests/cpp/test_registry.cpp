#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

using Params = std::vector<std::pair<std::string, double>>;

TEST(Registry, KnowsItsEnvironments) {
  EXPECT_EQ(env_names(),
            (std::vector<std::string_view>{"CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0",
                                           "Acrobot-v1", "Pendulum-v1"}));
  EXPECT_EQ(env_spec("Pendulum-v1").obs_dim, 3U);
}

TEST(Registry, UnknownNameGetsTheNearest) {
  EXPECT_MESSAGE(env_spec("CartPole-v0"), std::invalid_argument, "unknown env 'CartPole-v0'");
  EXPECT_MESSAGE(env_spec("pendulum"), std::invalid_argument, "the nearest is 'Pendulum-v1'");
  EXPECT_THROW(make_vector_env("", 1, 0, std::make_shared<ThreadPool>(1)), std::invalid_argument);
}

TEST(Registry, ParamsFillInDefaults) {
  const EnvSpec& spec = env_spec("CartPole-v1");
  EXPECT_EQ(resolve_params(spec, {}), (std::vector<double>{9.8, 1.0, 0.1, 0.5, 10.0, 0.02}));
  EXPECT_EQ(resolve_params(spec, Params{{"length", 0.7}})[3], 0.7);
}

TEST(Registry, BadParamsAreNamed) {
  const EnvSpec& spec = env_spec("CartPole-v1");
  const auto resolve = [&](Params params) { return resolve_params(spec, params); };
  EXPECT_MESSAGE(resolve({{"lenght", 0.7}}), std::invalid_argument, "the nearest is 'length'");
  EXPECT_MESSAGE(resolve({{"length", 99.0}}), std::invalid_argument, "must lie in 0.01..10, got 99");
  EXPECT_MESSAGE(resolve({{"length", std::numeric_limits<double>::quiet_NaN()}}), std::invalid_argument,
                 "got nan");
  EXPECT_MESSAGE(resolve({{"length", 0.5}, {"length", 0.6}}), std::invalid_argument, "given twice");
}

}  // namespace
}  // namespace murmur
