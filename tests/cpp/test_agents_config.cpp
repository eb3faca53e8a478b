// Every field of PpoConfig is judged, and the message names it.

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/ppo_config.hpp"

namespace murmur {
namespace {

struct BadField {
  std::string field;
  std::function<void(PpoConfig&)> spoil;
};

const double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(PpoConfig, DefaultsAreValid) {
  EXPECT_NO_THROW(validate(PpoConfig{}));
}

TEST(PpoConfig, BoundsMayBeOffOrAnyNormalFloat) {
  PpoConfig config;
  for (const double bound : {0.0, 1.2e-38, 10.0, 3e38}) {
    config.observation_clip = config.reward_clip = config.value_clip_range = bound;
    EXPECT_NO_THROW(validate(config)) << bound;
  }
}

TEST(PpoConfig, NamesTheFieldThatIsOutOfRange) {
  const std::vector<BadField> bad{
      {"hidden layers", [](PpoConfig& c) { c.hidden.clear(); }},
      {"hidden layers", [](PpoConfig& c) { c.hidden.assign(9, 8); }},
      {"hidden", [](PpoConfig& c) { c.hidden = {64, 0}; }},
      {"hidden", [](PpoConfig& c) { c.hidden = {-1}; }},
      {"num_envs", [](PpoConfig& c) { c.num_envs = 0; }},
      {"num_envs", [](PpoConfig& c) { c.num_envs = std::int64_t{1} << 40; }},
      {"rollout_steps", [](PpoConfig& c) { c.rollout_steps = 0; }},
      {"num_envs * rollout_steps", [](PpoConfig& c) { c.num_envs = c.rollout_steps = 1 << 20; }},
      {"epochs", [](PpoConfig& c) { c.epochs = 0; }},
      {"minibatch_size", [](PpoConfig& c) { c.minibatch_size = 0; }},
      {"minibatch_size", [](PpoConfig& c) { c.minibatch_size = 300; }},
      {"minibatch_size", [](PpoConfig& c) { c.minibatch_size = 2048; }},
      {"gamma", [](PpoConfig& c) { c.gamma = 1.5; }},
      {"gamma", [](PpoConfig& c) { c.gamma = kNaN; }},
      {"gae_lambda", [](PpoConfig& c) { c.gae_lambda = -0.1; }},
      {"clip_range", [](PpoConfig& c) { c.clip_range = 0.0; }},
      {"clip_range", [](PpoConfig& c) { c.clip_range = 1e-46; }},  // 0 as a float
      {"value_clip_range", [](PpoConfig& c) { c.value_clip_range = -1.0; }},
      {"value_clip_range", [](PpoConfig& c) { c.value_clip_range = 1e-46; }},  // 0, which is off, as a float
      {"entropy_coef", [](PpoConfig& c) { c.entropy_coef = kNaN; }},
      {"entropy_coef", [](PpoConfig& c) { c.entropy_coef = 1e39; }},  // infinite as a float
      {"value_coef", [](PpoConfig& c) { c.value_coef = -1.0; }},
      {"value_coef", [](PpoConfig& c) { c.value_coef = 1e300; }},
      {"max_grad_norm", [](PpoConfig& c) { c.max_grad_norm = 0.0; }},
      {"max_grad_norm", [](PpoConfig& c) { c.max_grad_norm = 1e-300; }},
      {"learning_rate", [](PpoConfig& c) { c.learning_rate = 0.0; }},
      {"learning_rate", [](PpoConfig& c) { c.learning_rate = 1e-46; }},  // would never learn
      {"learning_rate", [](PpoConfig& c) { c.learning_rate = std::numeric_limits<double>::infinity(); }},
      {"schedule_env_steps", [](PpoConfig& c) { c.schedule_env_steps = 0; }},
      {"target_kl", [](PpoConfig& c) { c.target_kl = -0.01; }},
      {"kl_penalty", [](PpoConfig& c) { c.kl_penalty = -0.1; }},
      {"kl_penalty", [](PpoConfig& c) { c.kl_penalty = kNaN; }},
      {"kl_penalty", [](PpoConfig& c) { c.kl_penalty = 1e39; }},
      {"observation_clip", [](PpoConfig& c) { c.observation_clip = -1.0; }},
      {"reward_clip", [](PpoConfig& c) { c.reward_clip = kNaN; }},
      {"init_hidden_gain", [](PpoConfig& c) { c.init_hidden_gain = 0.0; }},
      {"init_policy_gain", [](PpoConfig& c) { c.init_policy_gain = -1.0; }},
      {"init_value_gain", [](PpoConfig& c) { c.init_value_gain = 1000.0; }},
      {"init_log_std", [](PpoConfig& c) { c.init_log_std = -100.0; }},
      {"adam_beta1", [](PpoConfig& c) { c.adam_beta1 = 1.0; }},
      {"adam_beta2", [](PpoConfig& c) { c.adam_beta2 = -0.5; }},
      {"adam_epsilon", [](PpoConfig& c) { c.adam_epsilon = 0.0; }},
      {"adam_epsilon", [](PpoConfig& c) { c.adam_epsilon = 1e-46; }},  // 0 as a float
      {"adam_epsilon", [](PpoConfig& c) { c.adam_epsilon = 1e-40; }},  // subnormal
      {"adam_epsilon", [](PpoConfig& c) { c.adam_epsilon = 1e300; }},  // infinite
      {"observation_clip", [](PpoConfig& c) { c.observation_clip = 1e-50; }},
      {"observation_clip", [](PpoConfig& c) { c.observation_clip = 1e39; }},
      {"reward_clip", [](PpoConfig& c) { c.reward_clip = 1e-50; }},
      {"reward_clip", [](PpoConfig& c) { c.reward_clip = 1e39; }},
      {"threads", [](PpoConfig& c) { c.threads = 0; }},
  };
  for (const BadField& entry : bad) {
    PpoConfig config;
    entry.spoil(config);
    EXPECT_MESSAGE(validate(config), std::invalid_argument, entry.field + " must be");
  }
}

TEST(PpoConfig, NamesParseAndPrint) {
  for (const Activation value : {Activation::kTanh, Activation::kRelu, Activation::kSilu}) {
    EXPECT_EQ(parse_activation(to_string(value)), value);
  }
  for (const Schedule value : {Schedule::kConstant, Schedule::kLinear}) {
    EXPECT_EQ(parse_schedule("lr_schedule", to_string(value)), value);
  }
  for (const Device value : {Device::kAuto, Device::kCpu, Device::kCuda})
    EXPECT_EQ(parse_device(to_string(value)), value);
  for (const Backend value : {Backend::kAuto, Backend::kLibtorch, Backend::kFused})
    EXPECT_EQ(parse_backend(to_string(value)), value);
  EXPECT_MESSAGE(parse_backend("torch"), std::invalid_argument,
                 "backend must be one of auto, libtorch, fused");
  EXPECT_MESSAGE(parse_activation("Tanh"), std::invalid_argument,
                 "activation must be one of tanh, relu, silu, got 'Tanh'");
  EXPECT_MESSAGE(parse_device("gpu"), std::invalid_argument, "auto, cpu, cuda");
  EXPECT_MESSAGE(parse_schedule("clip_schedule", ""), std::invalid_argument,
                 "clip_schedule must be one of constant, linear");
}

}  // namespace
}  // namespace murmur
