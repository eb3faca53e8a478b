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
#include "scripted_env.hpp"

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

/// What a program registers: every string and number of it is gone after the call.
const EnvSpec& register_briefly(const std::string& name) {
  const std::string copy = name;
  const std::vector<float> low{-1.0F, -2.0F};
  const std::vector<float> high{1.0F, 2.0F};
  const std::string param = "mass", meaning = "of the puck, kg";
  const std::vector<ParamSpec> params{{param, 1.0, 0.5, 2.0, meaning}};
  return register_env({.name = copy,
                       .obs_dim = 3,
                       .state_dim = 0,
                       .action_kind = ActionKind::kContinuous,
                       .action_dim = 2,
                       .num_actions = 0,
                       .action_low = low,
                       .action_high = high,
                       .max_episode_steps = 7,
                       .params = params},
                      [](const EnvSpec& spec, std::size_t num_envs, std::uint64_t seed) {
                        EXPECT_EQ(spec.obs_dim, 3U);
                        EXPECT_EQ(seed, 5U);
                        return std::make_unique<testing::ScriptedEnv>(
                            num_envs, [](std::size_t, std::size_t) { return testing::ScriptedStep{}; });
                      });
}

TEST(Registry, EnvironmentsOfOthersAreKnownFromThenOn) {
  EXPECT_MESSAGE(env_spec("module:Puck-v0"), std::invalid_argument, "unknown env");
  const EnvSpec& spec = register_briefly("module:Puck-v0");
  for (int i = 0; i < 20; ++i) register_briefly("module:Other-v" + std::to_string(i));
  EXPECT_EQ(&env_spec("module:Puck-v0"), &spec);
  EXPECT_EQ(spec.name, "module:Puck-v0");
  EXPECT_EQ(std::vector<float>(spec.action_high.begin(), spec.action_high.end()),
            (std::vector<float>{1.0F, 2.0F}));
  EXPECT_EQ(resolve_params(spec, Params{{"mass", 2.0}}), (std::vector<double>{2.0}));
  EXPECT_MESSAGE(resolve_params(spec, Params{{"mas", 2.0}}), std::invalid_argument, "'mass'");
  EXPECT_EQ(make_vector_env("module:Puck-v0", 4, 5, nullptr)->num_envs(), 4U);
  EXPECT_EQ(env_names().size(), 5U);
}

TEST(Registry, RefusesNamesThatNoCheckpointCouldHold) {
  for (const std::string& name : {std::string(), "module:" + std::string(58, 'x'), std::string("module:É-v0"),
                                  std::string("module:\x1b[1m-v0")}) {
    EXPECT_MESSAGE(register_briefly(name), std::invalid_argument, "1 to 64 characters of printable ASCII");
    EXPECT_MESSAGE(env_spec(name), std::invalid_argument, "unknown env");
  }
  EXPECT_EQ(register_briefly("module:" + std::string(57, 'x')).name.size(), 64U);
}

TEST(Registry, RefusesWhatIsNoEnvironment) {
  EXPECT_MESSAGE(register_briefly("CartPole-v1"), std::invalid_argument, "the core has one of that name");
  register_briefly("module:Twice-v0");
  EXPECT_MESSAGE(register_briefly("module:Twice-v0"), std::invalid_argument, "registered already");
  const float bound = 1.0F;
  EnvSpec spec{.name = "module:Bad-v0",
               .obs_dim = 0,
               .state_dim = 0,
               .action_kind = ActionKind::kDiscrete,
               .action_dim = 1,
               .num_actions = 2,
               .action_low = {},
               .action_high = {},
               .max_episode_steps = 1,
               .params = {}};
  EXPECT_MESSAGE(register_env(spec, nullptr), std::invalid_argument, "obs_dim must be at least 1");
  spec.obs_dim = 1;
  spec.max_episode_steps = 0;
  EXPECT_MESSAGE(register_env(spec, nullptr), std::invalid_argument, "max_episode_steps");
  spec.max_episode_steps = 1;
  spec.num_actions = 0;
  EXPECT_MESSAGE(register_env(spec, nullptr), std::invalid_argument, "num_actions");
  spec.action_kind = ActionKind::kContinuous;
  spec.action_low = {&bound, 1};
  EXPECT_MESSAGE(register_env(spec, nullptr), std::invalid_argument, "action_high");
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
