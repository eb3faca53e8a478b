// Greedy episodes: which of them count, what they are played with, and what they leave alone.

#include <gtest/gtest.h>

#include <limits>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/evaluation.hpp"
#include "murmur/agents/non_finite.hpp"
#include "scalar_backend.hpp"
#include "scripted_env.hpp"

namespace murmur {
namespace {

using testing::ScalarBackend;
using testing::ScriptedEnv;
using testing::ScriptedStep;

struct Fixture {
  Evaluation play(ScriptedEnv::Script script, std::size_t episodes, bool normalize = false) {
    ScriptedEnv env(episodes, std::move(script));
    return evaluate_greedy(backend, moments, normalize, env);
  }
  PolicyLayout layout{{1, true, 2, {1}, Activation::kRelu}};
  ScalarBackend backend{layout};
  ModelMoments moments{1};
};

TEST(Evaluation, EachEnvRestsOnceItsEpisodeHasEnded) {
  Fixture f;
  ScriptedEnv env(3,
                  [](std::size_t i, std::size_t step) { return ScriptedStep{.terminated = step == 3 - i}; });
  EXPECT_EQ(evaluate_greedy(f.backend, f.moments, false, env).returns.size(), 3U);
  EXPECT_EQ(env.resting, (std::vector<std::size_t>{2, 1, 0}));
}

TEST(Evaluation, TheFirstEpisodeOfEachEnvCountsAndNoOther) {
  Fixture f;
  // Env i ends an episode every i + 1 steps; from its second one on, steps are worth a hundred times more.
  std::vector<std::size_t> played(3);
  const Evaluation result = f.play(
      [&](std::size_t env, std::size_t step) {
        const float reward = played[env]++ <= env ? 1.0F : 100.0F;
        return ScriptedStep{.reward = reward, .terminated = step == env + 1};
      },
      3);
  EXPECT_EQ(result.returns, (std::vector<double>{1.0, 2.0, 3.0}));
  EXPECT_EQ(result.mean_return, 2.0);
  EXPECT_EQ(played[0], 3U) << "and it ends with the last of them";
}

TEST(Evaluation, ATimeLimitEndsAnEpisode) {
  Fixture f;
  const auto truncated = [](std::size_t, std::size_t step) { return ScriptedStep{.truncated = step == 4}; };
  EXPECT_EQ(f.play(truncated, 1).mean_return, 4.0);
}

TEST(Evaluation, StatisticsAreReadAndNeverChanged) {
  Fixture f;
  const std::vector<double> count{4.0, 2.0}, mean{1.0, 7.0}, m2{8.0, 0.5};
  f.moments.set(RunningMoments(count, mean, m2), RunningMoments(2));
  const auto far_away = [](std::size_t, std::size_t step) {
    return ScriptedStep{.observation = 1000.0F, .terminated = step == 5};
  };
  static_cast<void>(f.play(far_away, 2, true));
  const RunningMoments& used = f.moments.in_use();
  EXPECT_EQ(std::vector<double>(used.count().begin(), used.count().end()), count);
  EXPECT_EQ(std::vector<double>(used.mean().begin(), used.mean().end()), mean);
  EXPECT_EQ(std::vector<double>(used.m2().begin(), used.m2().end()), m2);
}

TEST(Evaluation, AnObservationThatIsNotFiniteIsNamed) {
  Fixture f;
  const auto broken = [](std::size_t env, std::size_t step) {
    const bool breaks = env == 1 && step == 2;
    return ScriptedStep{.observation = breaks ? std::numeric_limits<float>::infinity() : 0.0F};
  };
  EXPECT_MESSAGE(static_cast<void>(f.play(broken, 2)), NonFiniteError, "observation is infinite in row 1");
}

}  // namespace
}  // namespace murmur
