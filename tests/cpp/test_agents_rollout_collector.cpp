// What ends up in a rollout: episode ends, bootstraps, normalisation, tallies; and what is refused.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/rollout_collector.hpp"
#include "scalar_backend.hpp"
#include "scripted_env.hpp"

namespace murmur {
namespace {

using testing::ScalarBackend;
using testing::ScriptedEnv;
using testing::ScriptedStep;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr double kGamma = 0.9;

PolicyLayout tiny_layout() {
  return PolicyLayout({1, true, 2, {1}, Activation::kRelu});
}

/// A critic that says value = 10 + x for x >= 0.
void set_known_critic(ScalarBackend& backend, const PolicyLayout& layout) {
  std::vector<float> params(layout.num_params());
  params[layout.critic()[0].weight_offset] = 1.0F;
  params[layout.critic()[1].weight_offset] = 1.0F;
  params[layout.critic()[1].bias_offset] = 10.0F;
  backend.set_params(params);
}

struct Fixture {
  Fixture(std::size_t num_envs, std::size_t num_steps, ScriptedEnv::Script script, PpoConfig settings = {},
          bool waits = false)
      : backend(layout),
        moments(1),
        buffer({num_steps, num_envs, 1, 1}),
        collector(std::make_unique<ScriptedEnv>(num_envs, std::move(script), waits), with_gamma(settings)) {
    set_known_critic(backend, layout);
  }
  static PpoConfig with_gamma(PpoConfig config) {
    config.gamma = kGamma;
    config.gae_lambda = 0.0;  // advantages are then one-step errors, which a reader can check
    return config;
  }
  void collect() { collector.collect(backend, moments, buffer, tally); }

  PolicyLayout layout = tiny_layout();
  ScalarBackend backend;
  ModelMoments moments;
  RolloutBuffer buffer;
  RolloutCollector collector;
  RolloutTally tally;
};

TEST(RolloutCollector, TruncationBootstrapsFromTheFinalObservationAndTerminationFromNothing) {
  // Env 0 is truncated at its third step in observation 5; env 1 terminates there; env 2 does both.
  Fixture f(3, 4, [](std::size_t env, std::size_t step) {
    const bool ends = step == 3;
    return ScriptedStep{.observation = ends ? 5.0F : 1.0F,
                        .reward = 2.0F,
                        .terminated = ends && env != 0,
                        .truncated = ends && env != 1};
  });
  f.collect();
  const double v0 = 10.0, v1 = 11.0, v_final = 15.0;
  auto advantage = [&](std::size_t t, std::size_t env) {
    return static_cast<double>(f.buffer.advantages[t * 3 + env]);
  };
  EXPECT_NEAR(advantage(0, 0), 2.0 + kGamma * v1 - v0, 1e-5);
  EXPECT_NEAR(advantage(2, 0), 2.0 + kGamma * v_final - v1, 1e-5);
  EXPECT_NEAR(advantage(2, 1), 2.0 - v1, 1e-5);
  EXPECT_NEAR(advantage(2, 2), 2.0 - v1, 1e-5);
  for (std::size_t env = 0; env < 3; ++env) {
    EXPECT_NEAR(advantage(3, env), 2.0 + kGamma * v1 - v0, 1e-5)
        << "the new episode's first step, env " << env;
    EXPECT_NEAR(f.buffer.returns[3 * 3 + env], 2.0 + kGamma * v1, 1e-5);
  }
  EXPECT_EQ(f.tally.total.episodes, 3);
  EXPECT_EQ(f.tally.total.return_sum, 18.0);
}

TEST(RolloutCollector, StepsThatOnlyBeginAnEpisodeAreNotLearnedFrom) {
  // The third step ends an episode, the fourth begins the next one: samples 3 and 7 of one env.
  PpoConfig config;
  config.normalize_rewards = true;
  auto script = [](std::size_t env, std::size_t step) {
    return ScriptedStep{.observation = static_cast<float>(step),
                        .reward = static_cast<float>(step),
                        .terminated = step == 3 && env == 0,
                        .truncated = step == 3 && env == 1};
  };
  Fixture waits(2, 8, script, config, true);
  Fixture plain(2, 6, script, config);
  waits.collect();
  plain.collect();
  EXPECT_EQ(waits.buffer.num_gaps(), 4U);
  EXPECT_EQ(waits.tally.total.episodes, plain.tally.total.episodes);
  EXPECT_EQ(waits.tally.total.return_sum, plain.tally.total.return_sum);
  for (const std::size_t k : {0U, 1U}) {  // observations, and discounted returns
    EXPECT_EQ(waits.moments.fresh().count()[k], plain.moments.fresh().count()[k]);
    EXPECT_NEAR(waits.moments.fresh().mean()[k], plain.moments.fresh().mean()[k], 1e-6);
  }
  for (std::size_t row = 0; row < 16; ++row) {
    const std::size_t t = row / 2;
    if (t == 3 || t == 7) {  // a copy of one of the others
      EXPECT_GE(waits.buffer.observations[row], 0.0F);
      continue;
    }
    const std::size_t same = row - (t > 3 ? 2 : 0);
    EXPECT_EQ(waits.buffer.observations[row], plain.buffer.observations[same]);
    EXPECT_NEAR(waits.buffer.advantages[row], plain.buffer.advantages[same], 1e-5) << row;
    EXPECT_NEAR(waits.buffer.returns[row], plain.buffer.returns[same], 1e-5) << row;
  }
}

TEST(RolloutCollector, ARolloutThatOnlyBeginsEpisodesSaysThatNothingIsToBeChanged) {
  Fixture f(
      2, 1, [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{.terminated = true}; }, {},
      true);
  f.collect();
  EXPECT_EQ(f.buffer.num_gaps(), 0U);
  f.collect();
  EXPECT_EQ(f.buffer.num_gaps(), 2U);
  EXPECT_EQ(f.buffer.advantages, (std::vector<float>{0.0F, 0.0F}));
  EXPECT_EQ(f.buffer.returns[0], f.buffer.values[0]);
}

TEST(RolloutCollector, EpisodesRunOnFromOneRolloutToTheNext) {
  Fixture f(1, 3, [](std::size_t /*env*/, std::size_t step) {
    return ScriptedStep{.observation = static_cast<float>(step), .terminated = step == 5};
  });
  f.collect();
  EXPECT_EQ(f.tally.total.episodes, 0);
  EXPECT_EQ(f.buffer.observations, (std::vector<float>{0.0F, 1.0F, 2.0F}));
  EXPECT_EQ(f.buffer.values.back(), 13.0F);  // the bootstrap values what follows the rollout
  f.collect();
  EXPECT_EQ(f.buffer.observations, (std::vector<float>{3.0F, 4.0F, 0.0F}));
  EXPECT_EQ(f.tally.total.episodes, 1);
  EXPECT_EQ(f.tally.total.return_sum, 5.0);
}

TEST(RolloutCollector, ObservationsAreNormalisedAsSeenSoFarAndCountedOnce) {
  PpoConfig config;
  config.normalize_observations = true;
  Fixture f(
      2, 8,
      [](std::size_t env, std::size_t step) {
        return ScriptedStep{.observation = static_cast<float>(env + step)};
      },
      config);
  f.collect();
  EXPECT_EQ(f.moments.fresh().count()[0], 16.0);
  EXPECT_EQ(f.moments.fresh().count()[1], 16.0);
  // At the third step {0, 0, 1, 2, 2, 3} were seen: mean 4/3, population variance 11/9.
  EXPECT_NEAR(f.buffer.observations[4], (2.0 - 4.0 / 3.0) / std::sqrt(11.0 / 9.0), 1e-5);
  EXPECT_NEAR(f.buffer.observations[5], (3.0 - 4.0 / 3.0) / std::sqrt(11.0 / 9.0), 1e-5);
}

TEST(RolloutCollector, TheCriticSeesLastAndFollowingObservationsNormalisedToo) {
  PpoConfig config;
  config.normalize_observations = true;
  for (const bool is_cut : {false, true}) {
    Fixture f(
        1, 2,
        [=](std::size_t /*env*/, std::size_t step) {
          return ScriptedStep{.observation = step == 2 ? 5.0F : 1.0F, .truncated = is_cut && step == 2};
        },
        config);
    f.collect();  // 0 and 1 were seen: mean 0.5, deviation 0.5, so that 5 is 9 and 1 is 1
    EXPECT_NEAR(f.buffer.advantages[1], 1.0 + kGamma * 19.0 - 11.0, 1e-4) << is_cut;
  }
}

TEST(RolloutCollector, TheDiscountedReturnBeginsAnewWithEachEpisode) {
  Fixture ended(1, 3, [](std::size_t /*env*/, std::size_t step) {
    return ScriptedStep{.reward = 1.0F, .terminated = step == 2};
  });
  ended.collect();
  EXPECT_NEAR(ended.moments.fresh().mean()[1], (1.0 + (1.0 + kGamma) + 1.0) / 3.0, 1e-6);
  Fixture dropped(2, 1,
                  [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{.reward = 1.0F}; });
  dropped.collect();
  dropped.collector.assign_variants(std::vector<EnvVariant>{{{}, 0, 10, 2}});  // restarts the first env
  dropped.collect();
  EXPECT_NEAR(dropped.moments.fresh().mean()[1], (1.0 + 1.0 + 1.0 + (1.0 + kGamma)) / 4.0, 1e-6);
}

TEST(RolloutCollector, TheDiscountedReturnBeginsAnewWhereRunningEpisodesAreNotSaved) {
  for (const bool saves : {true, false}) {
    Fixture f(1, 3, [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{.reward = 1.0F}; });
    f.collect();
    BlobWriter writer({"COLLECTS", 1});
    f.collector.save(writer);
    const std::vector<std::byte> saved = std::move(writer).finish();
    auto env = std::make_unique<ScriptedEnv>(
        1, [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{}; });
    env->saves = saves;
    RolloutCollector loaded(std::move(env), Fixture::with_gamma({}));
    BlobReader reader(saved, {"COLLECTS", 1});
    loaded.load(reader);
    EXPECT_NEAR(loaded.discounted_returns()[0], saves ? 1.0 + kGamma + kGamma * kGamma : 0.0, 1e-6);
  }
}

TEST(RolloutCollector, RewardsAreScaledByTheSpreadOfTheDiscountedReturn) {
  PpoConfig config;
  config.normalize_rewards = true;
  Fixture f(
      1, 3,
      [](std::size_t /*env*/, std::size_t step) { return ScriptedStep{.reward = static_cast<float>(step)}; },
      config);
  f.collect();
  const double g1 = 1.0, g2 = 2.0 + kGamma * g1, g3 = 3.0 + kGamma * g2;
  const double mean = (g1 + g2 + g3) / 3.0;
  const double variance = (std::pow(g1 - mean, 2) + std::pow(g2 - mean, 2) + std::pow(g3 - mean, 2)) / 3.0;
  EXPECT_NEAR(f.buffer.rewards[2], 3.0 / std::sqrt(variance), 1e-5);
  EXPECT_NEAR(f.moments.fresh().mean()[1], mean, 1e-6);
}

TEST(RolloutCollector, ScaledRewardsAreClippedWhereTheConfigurationSaysSoAndOtherwiseNot) {
  for (const double clip : {0.5, 0.0}) {
    PpoConfig config;
    config.normalize_rewards = true;
    config.reward_clip = clip;
    Fixture f(
        1, 3,
        [](std::size_t /*env*/, std::size_t step) {
          return ScriptedStep{.reward = step == 3 ? -1000.0F : 1.0F};
        },
        config);
    f.collect();
    if (clip > 0.0) {
      EXPECT_EQ(f.buffer.rewards[2], -0.5F);
    } else {  // -1000 over the standard deviation of {1, 1.9, -998.29}
      EXPECT_NEAR(f.buffer.rewards[2], -2.1219, 1e-3);
    }
  }
}

TEST(RolloutCollector, EndedEpisodesAreCountedForTheirVariant) {
  Fixture f(3, 4, [](std::size_t env, std::size_t step) {
    return ScriptedStep{.reward = static_cast<float>(env + 1), .terminated = step == 2};
  });
  f.collector.assign_variants(std::vector<EnvVariant>{{{}, 0, 10, 2}, {{}, 10, 20, 1}});
  f.collect();
  ASSERT_EQ(f.tally.variants.size(), 2U);
  EXPECT_EQ(f.tally.variants[0].episodes, 4);
  EXPECT_EQ(f.tally.variants[0].mean_return(), 3.0);  // two of 2 and two of 4
  EXPECT_EQ(f.tally.variants[1].episodes, 2);
  EXPECT_EQ(f.tally.variants[1].mean_return(), 6.0);
  EXPECT_EQ(f.tally.total.episodes, 6);
  EXPECT_EQ(f.tally.total.mean_return(), 4.0);
  EXPECT_EQ(f.tally.total.mean_length(), 2.0);
}

TEST(RolloutCollector, NaNAndInfinityAreNamedWithTheirEnv) {
  Fixture observation(2, 4, [](std::size_t env, std::size_t step) {
    return ScriptedStep{.observation = env == 1 && step == 2 ? kNaN : 1.0F};
  });
  EXPECT_MESSAGE(observation.collect(), NonFiniteError, "observation is NaN in row 1");
  Fixture reward(3, 4, [](std::size_t env, std::size_t /*step*/) {
    return ScriptedStep{.reward = env == 2 ? std::numeric_limits<float>::infinity() : 1.0F};
  });
  EXPECT_MESSAGE(reward.collect(), NonFiniteError, "reward is infinite in row 2");
  Fixture last(1, 4, [](std::size_t /*env*/, std::size_t step) {
    return ScriptedStep{.observation = step == 2 ? kNaN : 1.0F, .truncated = step == 2};
  });
  EXPECT_MESSAGE(last.collect(), NonFiniteError, "final observation is NaN");
}

TEST(RolloutCollector, EnvironmentsThatAreNotFiniteBeginAnewAndTheNextRolloutIsSound) {
  for (const ScriptedStep& broken :
       {ScriptedStep{.observation = kNaN}, ScriptedStep{.observation = 7.0F, .reward = kNaN},
        ScriptedStep{.observation = kNaN, .truncated = true}}) {
    bool is_broken = false;
    Fixture f(2, 4, [&](std::size_t env, std::size_t step) {
      return is_broken && env == 1 && step == 6 ? broken
                                                : ScriptedStep{.observation = static_cast<float>(step)};
    });
    f.collect();
    is_broken = true;
    EXPECT_THROW(f.collect(), NonFiniteError);
    EXPECT_EQ(f.collector.discounted_returns()[0], 0.0F);
    is_broken = false;
    f.collect();
    EXPECT_EQ(f.buffer.observations, (std::vector<float>{0.0F, 0.0F, 1.0F, 1.0F, 2.0F, 2.0F, 3.0F, 3.0F}));
  }
}

TEST(RolloutCollector, ADiscountedReturnThatOverflowsIsNamedAndNotAddedToTheStatistics) {
  Fixture f(1, 4, [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{.reward = 3e38F}; });
  EXPECT_MESSAGE(f.collect(), NonFiniteError, "discounted return is infinite in row 0");
  EXPECT_EQ(f.moments.fresh().count()[1], 1.0);
  EXPECT_EQ(f.collector.discounted_returns()[0], 0.0F);
}

TEST(RolloutCollector, AnOverflowingPolicyIsNamedAndItsEnvironmentsGoOn) {
  Fixture f(1, 2,
            [](std::size_t /*env*/, std::size_t /*step*/) { return ScriptedStep{.observation = 1e30F}; });
  f.collect();
  std::vector<float> params(f.layout.num_params(), 1e30F);
  f.backend.set_params(params);
  EXPECT_MESSAGE(f.collect(), NonFiniteError, "policy output is infinite");
  EXPECT_NEAR(f.collector.discounted_returns()[0], 1.0 + kGamma, 1e-6);
}

TEST(RolloutCollector, AnOverflowingValueIsNamedWhereverItIsRead) {
  for (const bool is_final : {false, true}) {
    Fixture f(1, 4, [=](std::size_t /*env*/, std::size_t step) {
      return ScriptedStep{.observation = step == 2 ? 1e30F : 1.0F, .truncated = is_final && step == 2};
    });
    std::vector<float> params(f.layout.num_params());
    params[f.layout.critic()[0].weight_offset] = 1e15F;  // 1e30 comes to more than a float holds
    params[f.layout.critic()[1].weight_offset] = 1.0F;
    f.backend.set_params(params);
    EXPECT_MESSAGE(f.collect(), NonFiniteError,
                   is_final ? "value of a final observation is infinite" : "value is infinite");
  }
}

TEST(ModelMoments, NormalisedObservationsAreClippedWhereTheConfigurationSaysSoAndOtherwiseNot) {
  const std::vector<double> count{10.0, 0.0}, mean{1.0, 0.0}, m2{10.0, 0.0};  // variance 1
  const std::vector<float> seen{1000.0F, -1000.0F, 2.0F};
  for (const auto& [clip, expected] : std::vector<std::pair<double, std::vector<float>>>{
           {10.0, {10.0F, -10.0F, 1.0F}}, {2.5, {2.5F, -2.5F, 1.0F}}, {0.0, {999.0F, -1001.0F, 1.0F}}}) {
    ModelMoments moments(1, clip);
    moments.set(RunningMoments(count, mean, m2), RunningMoments(2));
    std::vector<float> out(3);
    moments.normalize(seen, out);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_FLOAT_EQ(out[i], expected[i]) << clip;
  }
}

TEST(ModelMoments, InUseIsTheMergeOfBaseAndFresh) {
  ModelMoments moments(1);
  const std::vector<double> count{4.0, 2.0}, mean{1.0, 7.0}, m2{8.0, 0.5};
  moments.set(RunningMoments(count, mean, m2), RunningMoments(2));
  const std::vector<float> rows{3.0F, 5.0F};
  moments.add_observations(rows);
  EXPECT_EQ(moments.base().count()[0], 4.0);
  EXPECT_EQ(moments.fresh().count()[0], 2.0);
  EXPECT_EQ(moments.fresh().mean()[0], 4.0);
  EXPECT_EQ(moments.in_use().count()[0], 6.0);
  EXPECT_NEAR(moments.in_use().mean()[0], 2.0, 1e-12);
  EXPECT_NEAR(moments.in_use().m2()[0], 8.0 + 2.0 + 9.0 * 8.0 / 6.0, 1e-12);
  EXPECT_EQ(moments.in_use().mean()[1], 7.0);
  EXPECT_NEAR(moments.return_variance(), 0.25, 1e-12);
}

}  // namespace
}  // namespace murmur
