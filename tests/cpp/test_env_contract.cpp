// What every environment of the registry must do, whatever its physics.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

class EnvContract : public testing::TestWithParam<std::string_view> {
 protected:
  static std::unique_ptr<VectorEnv> make(std::size_t num_envs, std::uint64_t seed = 1) {
    return make_vector_env(GetParam(), num_envs, seed, std::make_shared<ThreadPool>(1));
  }

  static std::vector<float> random_actions(const VectorEnv& env, Rng& rng) {
    const EnvSpec& spec = env.spec();
    std::vector<float> actions(env.num_envs() * spec.action_dim);
    for (std::size_t i = 0; i < actions.size(); ++i) {
      const std::size_t k = i % spec.action_dim;
      actions[i] = spec.action_kind == ActionKind::kDiscrete
                       ? static_cast<float>(rng.below(spec.num_actions))
                       : rng.uniform(spec.action_low[k], spec.action_high[k]);
    }
    return actions;
  }
};

TEST_P(EnvContract, SpecIsConsistent) {
  const EnvSpec& spec = env_spec(GetParam());
  EXPECT_EQ(spec.name, GetParam());
  EXPECT_GE(spec.max_episode_steps, 1U);
  const bool discrete = spec.action_kind == ActionKind::kDiscrete;
  EXPECT_EQ(spec.num_actions >= 2, discrete);
  EXPECT_EQ(spec.action_low.size(), discrete ? 0U : spec.action_dim);
  EXPECT_EQ(spec.action_high.size(), discrete ? 0U : spec.action_dim);
  for (std::size_t k = 0; k < spec.action_low.size(); ++k) EXPECT_LT(spec.action_low[k], spec.action_high[k]);
  for (const ParamSpec& param : spec.params) {
    EXPECT_LE(param.low, param.default_value) << param.name;
    EXPECT_LE(param.default_value, param.high) << param.name;
    EXPECT_FALSE(param.meaning.empty()) << param.name;
  }
}

TEST_P(EnvContract, CountOfEnvsIsChecked) {
  EXPECT_MESSAGE(make(0), std::invalid_argument, "num_envs must lie in 1..");
  EXPECT_THROW(make(VectorEnv::kMaxEnvs + 1), std::invalid_argument);
  EXPECT_THROW(make_vector_env(GetParam(), 1, 0, nullptr), std::invalid_argument);
}

TEST_P(EnvContract, ObserveShowsWhatResetAndStepLeft) {
  const auto env = make(5);
  StepBuffers out(5, env->spec().obs_dim);
  std::vector<float> seen(out.observations.size());
  Rng rng(2);
  for (int t = 0; t < 700; ++t) {
    env->step(random_actions(*env, rng), out.output());
    env->observe(seen);
    ASSERT_EQ(seen, out.observations) << "step " << t;
  }
}

// Rewards, flags, final observations, returns and lengths of whole episodes, recounted from outside.
TEST_P(EnvContract, EpisodeRecordsAddUp) {
  constexpr std::size_t kEnvs = 7;
  const auto env = make(kEnvs);
  const EnvSpec& spec = env->spec();
  const float untouched = -12345.0F;
  StepBuffers out(kEnvs, spec.obs_dim);
  std::vector<double> returns(kEnvs);
  std::vector<std::int32_t> lengths(kEnvs);
  Rng rng(3);
  std::size_t episodes = 0;
  for (std::size_t t = 0; t < 3 * spec.max_episode_steps; ++t) {
    std::ranges::fill(out.final_observations, untouched);
    std::ranges::fill(out.episode_returns, untouched);
    env->step(random_actions(*env, rng), out.output());
    for (std::size_t i = 0; i < kEnvs; ++i) {
      returns[i] += static_cast<double>(out.rewards[i]);
      ++lengths[i];
      const bool ended = (out.terminated[i] | out.truncated[i]) != 0;
      ASSERT_LE(out.terminated[i], 1);
      ASSERT_EQ(out.truncated[i] != 0, static_cast<std::size_t>(lengths[i]) >= spec.max_episode_steps);
      ASSERT_EQ(out.final_observations[i * spec.obs_dim] != untouched, ended);
      ASSERT_EQ(out.episode_returns[i] != untouched, ended);
      if (!ended) continue;
      EXPECT_NEAR(static_cast<double>(out.episode_returns[i]), returns[i],
                  1e-5 * std::abs(returns[i]) + 1e-6);
      EXPECT_EQ(out.episode_lengths[i], lengths[i]);
      for (std::size_t k = 0; k < spec.obs_dim; ++k) {
        ASSERT_TRUE(std::isfinite(out.final_observations[i * spec.obs_dim + k]));
      }
      returns[i] = 0.0;
      lengths[i] = 0;
      ++episodes;
    }
  }
  EXPECT_GE(episodes, 2 * kEnvs);
}

TEST_P(EnvContract, FinalObservationIsTheTrueLastOne) {
  const auto env = make(1);
  const EnvSpec& spec = env->spec();
  std::vector<float> state(spec.state_dim);
  env->get_state(0, state);
  const std::vector<float> action(spec.action_dim, 0.0F);
  StepBuffers going(1, spec.obs_dim), ending(1, spec.obs_dim);
  env->set_state(0, state, 0);
  env->step(action, going.output());
  ASSERT_EQ(going.truncated[0], 0);
  env->set_state(0, state, spec.max_episode_steps - 1);
  env->step(action, ending.output());
  ASSERT_EQ(ending.truncated[0], 1);
  EXPECT_EQ(ending.final_observations, going.observations);
  EXPECT_NE(ending.observations, going.observations) << "a new episode must have begun";
  EXPECT_EQ(ending.episode_lengths[0], static_cast<std::int32_t>(spec.max_episode_steps));
}

TEST_P(EnvContract, SameSeedSameBytesOtherSeedOthers) {
  const auto first_observations = [&](std::uint64_t seed) {
    const auto env = make(4, seed);
    std::vector<float> observations(4 * env->spec().obs_dim);
    env->observe(observations);
    return observations;
  };
  EXPECT_EQ(first_observations(5), first_observations(5));
  EXPECT_NE(first_observations(5), first_observations(6));
  const auto env = make(4, 9);
  StepBuffers out(4, env->spec().obs_dim);
  Rng rng(1);
  for (int t = 0; t < 30; ++t) env->step(random_actions(*env, rng), out.output());
  env->reset(5);
  env->observe(out.observations);
  EXPECT_EQ(out.observations, first_observations(5)) << "reset leaves nothing of the past";
}

TEST_P(EnvContract, EnvsOfABatchDoNotDependOnItsSize) {
  const auto small = make(3, 4), large = make(200, 4);
  const std::size_t dim = small->spec().obs_dim;
  std::vector<float> a(3 * dim), b(200 * dim);
  small->observe(a);
  large->observe(b);
  EXPECT_TRUE(std::ranges::equal(a, std::span(b).first(3 * dim)));
}

TEST_P(EnvContract, SavedBatchGoesOnWithTheSameBytes) {
  const auto env = make(9, 2);
  StepBuffers a(9, env->spec().obs_dim), b(9, env->spec().obs_dim);
  Rng rng(8);
  for (int t = 0; t < 50; ++t) env->step(random_actions(*env, rng), a.output());
  BlobWriter writer({"MURMTEST", 1});
  env->save(writer);
  const auto bytes = std::move(writer).finish();

  const auto copy = make(9, 77);
  BlobReader reader(bytes, {"MURMTEST", 1});
  copy->load(reader);
  reader.expect_end();
  for (int t = 0; t < 700; ++t) {  // long enough for restarts from the saved streams
    const auto actions = random_actions(*env, rng);
    env->step(actions, a.output());
    copy->step(actions, b.output());
    ASSERT_EQ(a.observations, b.observations) << "step " << t;
    ASSERT_EQ(a.episode_returns.size(), b.episode_returns.size());
  }
  const auto other_size = make(8);
  BlobReader again(bytes, {"MURMTEST", 1});
  EXPECT_MESSAGE(other_size->load(again), BlobError, "saved by 9 envs, this batch has 8");
}

TEST_P(EnvContract, BadActionsAreNamedAtTheBorder) {
  const auto env = make(2);
  std::vector<float> actions(2 * env->spec().action_dim, 0.0F);
  EXPECT_NO_THROW(env->check_actions(actions));
  EXPECT_THROW(env->check_actions(std::span(actions).first(1)), std::invalid_argument);
  actions.back() = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(env->check_actions(actions), std::invalid_argument, "the action of env 1 is nan");
  if (env->spec().action_kind != ActionKind::kDiscrete) return;
  for (const float bad : {-1.0F, 0.5F, static_cast<float>(env->spec().num_actions), 1e30F}) {
    actions.back() = bad;
    EXPECT_THROW(env->check_actions(actions), std::invalid_argument) << bad;
  }
}

TEST_P(EnvContract, BadStatesAreRefusedAndChangeNothing) {
  const auto env = make(2);
  const std::size_t dim = env->spec().state_dim;
  std::vector<float> before(dim), after(dim), bad(dim, 0.0F);
  env->get_state(1, before);
  EXPECT_MESSAGE(env->set_state(2, bad), std::invalid_argument, "env index must be below 2, got 2");
  EXPECT_THROW(env->set_state(1, std::vector<float>(dim + 1)), std::invalid_argument);
  EXPECT_THROW(env->set_state(1, bad, env->spec().max_episode_steps), std::invalid_argument);
  bad[0] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(env->set_state(1, bad), std::invalid_argument);
  env->get_state(1, after);
  EXPECT_EQ(before, after);
  EXPECT_THROW(env->get_state(5, after), std::invalid_argument);
}

// `step` is trusted and noexcept: nonsense must stay nonsense in one env, not undefined behaviour.
TEST_P(EnvContract, NonsenseActionsHarmNoOtherEnv) {
  const auto env = make(2, 1), reference = make(2, 1);
  const std::size_t dim = env->spec().obs_dim, width = env->spec().action_dim;
  StepBuffers out(2, dim), expected(2, dim);
  std::vector<float> actions(2 * width, 0.0F), good(2 * width, 0.0F);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), 1e30F, -7.5F}) {
    actions[0] = bad;
    env->step(actions, out.output());
    reference->step(good, expected.output());
    EXPECT_TRUE(std::ranges::equal(std::span(out.observations).subspan(dim),
                                   std::span(expected.observations).subspan(dim)));
  }
}

TEST_P(EnvContract, WrongBufferSizesAreABrokenInvariant) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto env = make(2);
  StepBuffers out(3, env->spec().obs_dim);
  const std::vector<float> actions(2 * env->spec().action_dim);
  EXPECT_DEATH(env->step(actions, out.output()), "invariant broken");
}

INSTANTIATE_TEST_SUITE_P(AllEnvs, EnvContract, testing::ValuesIn(env_names()), [](const auto& env) {
  std::string name(env.param);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

}  // namespace
}  // namespace murmur
