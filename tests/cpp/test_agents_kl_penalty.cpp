// The penalty on leaving the policy of the last set_model, and what that policy is (docs/adr/0012).

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "small_learner.hpp"

namespace murmur {
namespace {

using testing::kForever;
using testing::make_agent;
using testing::params_of;
using testing::small_config;

TEST(KlPenalty, KeepsThePolicyNearTheOneOfSetModel) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    double kl[2] = {};
    for (const bool penalised : {false, true}) {
      PpoConfig config = small_config();
      config.learning_rate = 0.02;
      config.normalize_observations = false;  // then the base looks at what the policy looks at
      config.kl_penalty = penalised ? 30.0 : 1e-9;
      const auto agent = make_agent(env, config);
      EXPECT_EQ(agent->train(1, kForever).base_kl, 0.0) << "no base yet";
      agent->set_model(params_of(*agent), agent->moments().in_use());
      agent->train(4 * 96, kForever);
      kl[penalised ? 1 : 0] = agent->train(1, kForever).base_kl;
    }
    EXPECT_GT(kl[0], 0.01) << env;
    EXPECT_LT(kl[1], 0.2 * kl[0]) << env;
    EXPECT_GT(kl[1], 0.0) << env;
  }
}

TEST(KlPenalty, EverySetModelMovesThePolicyThatItHoldsOnTo) {
  PpoConfig config = small_config();
  config.epochs = 1;
  config.minibatch_size = 96;  // one a rollout, so that its KL is that of the policy before the step
  config.learning_rate = 0.02;
  config.kl_penalty = 1e-9;
  config.normalize_observations = false;  // then the base looks at what the policy looks at
  const auto agent = make_agent("CartPole-v1", config);
  for (int round = 0; round < 3; ++round) {
    agent->set_model(params_of(*agent), agent->moments().in_use());
    EXPECT_NEAR(agent->train(1, kForever).base_kl, 0.0, 1e-6) << round;
    EXPECT_GT(agent->train(1, kForever).base_kl, 1e-5) << round;
  }
}

TEST(KlPenalty, CheckpointsHoldThePolicyThatItHoldsOnTo) {
  PpoConfig config = small_config();
  config.kl_penalty = 1.0;
  const auto first = make_agent("Pendulum-v1", config);
  first->set_model(params_of(*first), first->moments().in_use());
  first->train(200, kForever);
  const auto second = make_agent("Pendulum-v1", config);
  second->load(first->save());
  EXPECT_EQ(second->save(), first->save());
  EXPECT_EQ(first->train(200, kForever).base_kl, second->train(200, kForever).base_kl);
  EXPECT_EQ(second->save(), first->save());
  const std::vector<std::byte> without = make_agent("Pendulum-v1", config)->save();
  second->load(without);
  EXPECT_EQ(second->save(), without) << "a base that was there is gone";
}

TEST(KlPenalty, IsOfNoEffectWhereItIsZero) {
  PpoConfig config = small_config();
  const auto a = make_agent("CartPole-v1", config), b = make_agent("CartPole-v1", config);
  a->set_model(params_of(*a), RunningMoments(a->moments().size()));
  a->train(200, kForever);
  b->train(200, kForever);
  EXPECT_EQ(a->save(), b->save());
}

}  // namespace
}  // namespace murmur
