// The whole learner on a plain back end: determinism, checkpoints, schedules, limits, and what is refused.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "murmur/base/blob.hpp"
#include "murmur/base/hash.hpp"
#include "murmur/envs/registry.hpp"
#include "scalar_backend.hpp"
#include "scripted_env.hpp"
#include "small_learner.hpp"

namespace murmur {
namespace {

using testing::kForever;
using testing::make_agent;
using testing::params_of;
using testing::ScalarBackend;
using testing::ScriptedEnv;
using testing::ScriptedStep;
using testing::small_config;

class PpoAgentOf : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Envs, PpoAgentOf, ::testing::Values("CartPole-v1", "Pendulum-v1"),
                         [](const auto& entry) { return std::string(entry.param).substr(0, 4); });

TEST_P(PpoAgentOf, SameSeedSameCheckpointForAnyNumberOfThreads) {
  PpoConfig config = small_config();
  config.num_envs = 200;  // enough for several shards
  config.rollout_steps = 4;
  config.minibatch_size = 400;
  const auto one = make_agent(GetParam(), config, 1);
  one->train(3 * config.batch_size(), kForever);
  const std::vector<std::byte> expected = one->save();
  for (const int threads : {2, 8}) {
    const auto agent = make_agent(GetParam(), config, threads);
    agent->train(3 * config.batch_size(), kForever);
    EXPECT_EQ(agent->save(), expected) << threads << " threads";
  }
}

TEST_P(PpoAgentOf, LoadedCheckpointGoesOnWithTheSameBytes) {
  const auto first = make_agent(GetParam(), small_config());
  first->train(400, kForever);
  const std::vector<std::byte> saved = first->save();
  PpoConfig other = small_config();
  other.seed = 99;
  other.local_seed = 98;
  const auto second = make_agent(GetParam(), other);
  second->train(100, kForever);
  second->load(saved);
  EXPECT_EQ(second->save(), saved);
  EXPECT_EQ(second->env_steps(), first->env_steps());
  const TrainStats a = first->train(400, kForever);
  const TrainStats b = second->train(400, kForever);
  EXPECT_EQ(first->save(), second->save());
  EXPECT_EQ(a.episodes, b.episodes);
  EXPECT_EQ(a.approx_kl, b.approx_kl);
}

TEST_P(PpoAgentOf, EvaluationIsAPureFunctionOfModelAndArguments) {
  const auto agent = make_agent(GetParam(), small_config());
  agent->train(400, kForever);
  const std::vector<std::byte> before = agent->save();
  const double score = agent->evaluate(7, 11);
  EXPECT_EQ(agent->save(), before);
  EXPECT_EQ(agent->evaluate(7, 11), score);
  EXPECT_FALSE(agent->evaluate(7, 12) == score && agent->evaluate(7, 13) == score &&
               agent->evaluate(7, 14) == score);
  const auto twin = make_agent(GetParam(), small_config());
  twin->set_model(params_of(*agent), agent->moments().in_use());
  EXPECT_EQ(twin->evaluate(7, 11), score);
}

TEST(PpoAgent, LocalSeedChangesTheExperienceAndNotTheFirstParameters) {
  PpoConfig config = small_config();
  const auto a = make_agent("CartPole-v1", config);
  config.local_seed = 77;
  const auto b = make_agent("CartPole-v1", config);
  EXPECT_EQ(params_of(*a), params_of(*b));
  a->train(1, kForever);
  b->train(1, kForever);
  EXPECT_NE(params_of(*a), params_of(*b));
}

TEST(PpoAgent, TrainDoesWholeIterationsAtLeastOneAndHonoursBothLimits) {
  const auto agent = make_agent("CartPole-v1", small_config());
  EXPECT_EQ(agent->train(1, kForever).env_steps, 96);
  EXPECT_EQ(agent->train(97, kForever).env_steps, 192);
  EXPECT_EQ(agent->train(1'000'000'000, 1e-9).env_steps, 96);
  EXPECT_EQ(agent->env_steps(), 96 * 4);
  EXPECT_MESSAGE(agent->train(0, 1.0), std::invalid_argument, "max_env_steps");
  EXPECT_MESSAGE(agent->train(1, 0.0), std::invalid_argument, "max_seconds");
  EXPECT_MESSAGE(agent->train(1, std::nan("")), std::invalid_argument, "max_seconds");
  EXPECT_MESSAGE(static_cast<void>(agent->evaluate(0, 1)), std::invalid_argument, "episodes");
}

TEST(PpoAgent, TrainBeginsNoIterationOfWhichLessThanHalfFits) {
  PpoConfig config = small_config();
  config.num_envs = 1;
  config.rollout_steps = config.minibatch_size = 2;
  const EnvFactory make_env = [](std::size_t n, std::uint64_t /*seed*/) {
    return std::make_unique<ScriptedEnv>(n, [](std::size_t /*env*/, std::size_t /*step*/) {
      std::this_thread::sleep_for(std::chrono::milliseconds(15));
      return ScriptedStep{};
    });
  };
  PpoAgent agent(config, make_env, &ScalarBackend::make);
  EXPECT_EQ(agent.train(1'000'000'000, 0.040).env_steps, 2) << "an iteration takes 0.03 s or more";
}

TEST(PpoAgent, MeanReturnIsNaNWhileNoEpisodeHasEnded) {
  const auto agent = make_agent("Pendulum-v1", small_config());
  const TrainStats stats = agent->train(1, kForever);
  EXPECT_EQ(stats.episodes, 0);
  EXPECT_TRUE(std::isnan(stats.mean_return));
}

TEST(PpoAgent, SetModelForgetsFreshMomentsAndKeepsTheOptimizer) {
  const auto agent = make_agent("CartPole-v1", small_config());
  agent->train(200, kForever);
  const std::vector<float> params = params_of(*agent);
  const RunningMoments in_use = agent->moments().in_use();
  EXPECT_GT(agent->moments().fresh().count()[0], 0.0);
  agent->set_model(params, in_use);
  EXPECT_EQ(agent->moments().fresh().count()[0], 0.0);
  EXPECT_EQ(agent->moments().base().count()[0], in_use.count()[0]);
  EXPECT_EQ(params_of(*agent), params);
}

TEST(PpoAgent, SetModelRefusesWhatDoesNotFitAndChangesNothing) {
  const auto agent = make_agent("CartPole-v1", small_config());
  agent->train(1, kForever);
  const std::vector<std::byte> before = agent->save();
  std::vector<float> params = params_of(*agent);
  EXPECT_MESSAGE(agent->set_model(params, RunningMoments(3)), std::invalid_argument, "moments");
  params[17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(agent->set_model(params, RunningMoments(5)), std::invalid_argument, "params");
  params.pop_back();
  EXPECT_MESSAGE(agent->set_model(params, RunningMoments(5)), std::invalid_argument, "params");
  EXPECT_EQ(agent->save(), before);
}

TEST(PpoAgent, LearningRateFallsLinearlyToZeroAndStaysThere) {
  PpoConfig config = small_config();
  config.lr_schedule = Schedule::kLinear;
  config.schedule_env_steps = 192;
  const auto agent = make_agent("CartPole-v1", config);
  EXPECT_DOUBLE_EQ(agent->train(1, kForever).learning_rate, 1e-3);
  EXPECT_DOUBLE_EQ(agent->train(1, kForever).learning_rate, 0.5e-3);
  const std::vector<float> params = params_of(*agent);
  EXPECT_DOUBLE_EQ(agent->train(1, kForever).learning_rate, 0.0);
  EXPECT_EQ(params_of(*agent), params);
}

TEST(PpoAgent, ClipRangeFallsLinearlyToZeroAndStaysThere) {
  PpoConfig config = small_config();
  config.schedule_env_steps = 200;
  EXPECT_DOUBLE_EQ(scheduled_clip_range(config, 150), 0.2);
  config.clip_schedule = Schedule::kLinear;
  EXPECT_DOUBLE_EQ(scheduled_clip_range(config, 0), 0.2);
  EXPECT_DOUBLE_EQ(scheduled_clip_range(config, 50), 0.15);
  EXPECT_DOUBLE_EQ(scheduled_clip_range(config, 200), 0.0);
  EXPECT_DOUBLE_EQ(scheduled_clip_range(config, 10'000), 0.0);
  EXPECT_DOUBLE_EQ(scheduled_learning_rate(config, 150), 1e-3);  // a schedule of its own
  // In the loss: with the whole schedule behind it, every ratio that differs from 1 counts as clipped.
  config.schedule_env_steps = 1;
  const auto agent = make_agent("CartPole-v1", config);
  agent->train(1, kForever);
  EXPECT_GT(agent->train(1, kForever).clip_fraction, 0.6);
}

TEST(PpoAgent, SharedTrunkAndSiluAreOtherModels) {
  PpoConfig config = small_config();
  const auto plain = make_agent("CartPole-v1", config);
  config.shared_trunk = true;
  const auto shared = make_agent("CartPole-v1", config);
  EXPECT_NE(shared->schema_text(), plain->schema_text());
  EXPECT_MESSAGE(shared->load(plain->save()), BlobError, "another model");
  config.shared_trunk = false;
  config.activation = Activation::kSilu;
  EXPECT_MESSAGE(make_agent("CartPole-v1", config)->load(plain->save()), BlobError, "activation=silu");
}

TEST(PpoAgent, StatsTellEachVariantsEpisodes) {
  const auto agent = make_agent("CartPole-v1", small_config());
  EXPECT_EQ(agent->train(1, kForever).variants.size(), 1U);
  agent->assign_variants(
      std::vector<EnvVariant>{{{}, 0, 10, 3}, {{{"length", 1.0}}, 0, 10, 2}, {{{"length", 0.1}}, 0, 10, 1}});
  const TrainStats stats = agent->train(1000, kForever);
  ASSERT_EQ(stats.variants.size(), 3U);
  std::int64_t episodes = 0;
  double returns = 0.0;
  for (const VariantStats& variant : stats.variants) {
    EXPECT_GT(variant.episodes, 0);
    episodes += variant.episodes;
    returns += variant.mean_return * static_cast<double>(variant.episodes);
  }
  EXPECT_EQ(episodes, stats.episodes);
  EXPECT_NEAR(returns / static_cast<double>(episodes), stats.mean_return, 1e-9);
}

TEST(PpoAgent, TargetKlStopsTheUpdateBeforeTheStepThatExceedsIt) {
  PpoConfig config = small_config();
  config.learning_rate = 0.05;
  config.epochs = 50;
  const auto free = make_agent("CartPole-v1", config);
  config.target_kl = 0.01;
  const auto held = make_agent("CartPole-v1", config);
  EXPECT_GT(free->train(1, kForever).approx_kl, 0.015);
  held->train(1, kForever);
  const std::vector<float> start = params_of(*make_agent("CartPole-v1", config));
  auto distance = [&](const PpoAgent& agent) {
    const std::vector<float> p = params_of(agent);
    double sum = 0.0;
    for (std::size_t i = 0; i < p.size(); ++i)
      sum += std::pow(static_cast<double>(p[i]) - static_cast<double>(start[i]), 2);
    return std::sqrt(sum);
  };
  EXPECT_GT(distance(*held), 0.0);
  EXPECT_LT(distance(*held), 0.5 * distance(*free));
}

TEST(PpoAgent, DamagedOrForeignCheckpointsAreRefusedAndChangeNothing) {
  const auto agent = make_agent("CartPole-v1", small_config());
  agent->train(1, kForever);
  const std::vector<std::byte> good = agent->save();
  for (std::size_t i = 0; i < good.size(); i += 97) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{0x10};
    EXPECT_THROW(agent->load(bad), BlobError) << "byte " << i;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, good.size() / 2, good.size() - 1}) {
    EXPECT_THROW(agent->load(std::span(good).first(size)), BlobError) << "cut to " << size;
  }
  EXPECT_MESSAGE(agent->load(make_agent("Pendulum-v1", small_config())->save()), BlobError, "another model");
  PpoConfig wider = small_config();
  wider.hidden = {8, 9};
  EXPECT_MESSAGE(agent->load(make_agent("CartPole-v1", wider)->save()), BlobError, "hidden=8,9");
  PpoConfig more = small_config();
  more.num_envs = 12;
  EXPECT_THROW(agent->load(make_agent("CartPole-v1", more)->save()), BlobError);
  EXPECT_EQ(agent->save(), good);
}

/// `blob` with the first value of field `name` replaced, `extra` behind the last field, and a digest that
/// fits.
template <class T>
std::vector<std::byte> forged(std::span<const std::byte> blob, std::string_view name, T value,
                              std::string_view extra = {}) {
  std::vector<std::byte> bytes(blob.begin(), blob.end() - sizeof(std::uint64_t));
  const std::string heading = std::string(1, static_cast<char>(name.size())).append(name);
  const auto found = std::ranges::search(bytes, std::as_bytes(std::span(heading)));
  const auto first = found.end() + 1 + sizeof(std::uint64_t);  // behind type and count
  std::ranges::copy(std::as_bytes(std::span<const T>(&value, 1)), first);
  bytes.insert(bytes.end(), std::as_bytes(std::span(extra)).begin(), std::as_bytes(std::span(extra)).end());
  Fnv1a hash;
  hash.update(bytes);
  const std::uint64_t digest = hash.digest();
  const auto tail = std::as_bytes(std::span<const std::uint64_t>(&digest, 1));
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  return bytes;
}

TEST(PpoAgent, ForgedCheckpointsAreRefusedAndChangeNothing) {
  const auto source = make_agent("CartPole-v1", small_config());
  source->train(1, kForever);
  const std::vector<std::byte> good = source->save();
  const auto agent = make_agent("CartPole-v1", small_config());
  const std::vector<std::byte> before = agent->save();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_MESSAGE(agent->load(forged(good, "adam_second", -1.0F)), BlobError, "adam_second");
  EXPECT_MESSAGE(agent->load(forged(good, "adam_steps", kHuge)), BlobError, "adam_steps");
  EXPECT_MESSAGE(agent->load(forged(good, "env_steps", kHuge)), BlobError, "env_steps");
  EXPECT_MESSAGE(agent->load(forged(good, "env_steps", std::int64_t{-1})), BlobError, "env_steps");
  EXPECT_MESSAGE(agent->load(forged(good, "shuffle_rng_increment", std::uint64_t{2})), BlobError,
                 "shuffle_rng_increment");
  EXPECT_MESSAGE(agent->load(forged(good, "action_rng_increment", std::uint64_t{2})), BlobError,
                 "action_rng_increment");
  EXPECT_MESSAGE(agent->load(forged(good, "discounted_returns", nan)), BlobError, "discounted_returns");
  EXPECT_MESSAGE(agent->load(forged(good, "env_steps", std::int64_t{96}, "more")), BlobError, "left over");
  EXPECT_EQ(agent->save(), before);
  agent->load(forged(good, "env_steps", source->env_steps()));
  EXPECT_EQ(agent->save(), good);
}

TEST(PpoAgent, UnknownVariantParameterNamesTheNearestAndChangesNothing) {
  const auto agent = make_agent("CartPole-v1", small_config());
  const std::vector<std::byte> before = agent->save();
  EXPECT_MESSAGE(agent->assign_variants(std::vector<EnvVariant>{{{{"lenght", 1.0}}, 0, 10, 6}}),
                 std::invalid_argument, "length");
  EXPECT_MESSAGE(agent->assign_variants(std::vector<EnvVariant>{{{}, 0, 10, 5}}), std::invalid_argument, "6");
  EXPECT_EQ(agent->save(), before);
}

TEST(PpoAgent, ParametersStayThoseOfTheLastGoodMinibatchWhenAnEnvironmentBreaks) {
  PpoConfig config = small_config();
  config.num_envs = 2;
  config.rollout_steps = 8;
  config.minibatch_size = 16;
  const EnvFactory make_env = [](std::size_t n, std::uint64_t /*seed*/) {
    return std::make_unique<ScriptedEnv>(n, [](std::size_t env, std::size_t step) {
      const float broken = std::numeric_limits<float>::quiet_NaN();
      return ScriptedStep{.observation = env == 1 && step == 12 ? broken : static_cast<float>(step % 3)};
    });
  };
  PpoAgent agent(config, make_env, &ScalarBackend::make);
  agent.train(1, kForever);
  const std::vector<float> good = params_of(agent);
  EXPECT_MESSAGE(agent.train(1, kForever), NonFiniteError, "observation is NaN in row 1");
  EXPECT_EQ(params_of(agent), good);
  EXPECT_EQ(agent.env_steps(), 16);
}

TEST(PpoAgent, LearnsToPreferTheRewardedAction) {
  // A one-step task: observation 1, and the second of two actions pays.
  struct Bandit final : public VectorEnv {
    explicit Bandit(std::size_t n) : VectorEnv(testing::kScriptedSpec, n), variants(n) {}
    void reset(std::uint64_t /*seed*/) noexcept override {}
    void observe(std::span<float> obs) const noexcept override { std::fill(obs.begin(), obs.end(), 1.0F); }
    void step(std::span<const float> actions, const StepOutput& out) noexcept override {
      observe(out.observations);
      observe(out.final_observations);
      for (std::size_t i = 0; i < num_envs(); ++i) {
        out.rewards[i] = actions[i] > 0.5F ? 1.0F : 0.0F;
        out.episode_returns[i] = out.rewards[i];
        out.episode_lengths[i] = 1;
        out.terminated[i] = 1;
        out.truncated[i] = 0;
      }
    }
    std::vector<std::size_t> assign_variants(std::span<const EnvVariant> /*variants*/) override { return {}; }
    [[nodiscard]] std::span<const std::int32_t> variant_of() const noexcept override { return variants; }
    void get_state(std::size_t /*i*/, std::span<float> /*state*/) const override {}
    void set_state(std::size_t /*i*/, std::span<const float> /*state*/, std::size_t /*steps*/) override {}
    void save(BlobWriter& /*writer*/) const override {}
    void load(BlobReader& /*reader*/) override {}
    std::vector<std::int32_t> variants;
  };
  PpoConfig config = small_config();
  config.learning_rate = 5e-3;
  config.normalize_observations = config.normalize_rewards = false;
  const EnvFactory make_env = [](std::size_t n, std::uint64_t /*seed*/) {
    return std::make_unique<Bandit>(n);
  };
  PpoAgent agent(config, make_env, &ScalarBackend::make);
  EXPECT_NEAR(agent.train(1, kForever).mean_return, 0.5, 0.2);
  agent.train(40 * 96, kForever);
  EXPECT_GT(agent.train(1, kForever).mean_return, 0.95);
  EXPECT_EQ(agent.evaluate(3, 1), 1.0);
  EXPECT_EQ(agent.evaluate_returns(3, 1), (std::vector<double>{1.0, 1.0, 1.0}));
}

}  // namespace
}  // namespace murmur
