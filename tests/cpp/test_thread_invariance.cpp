// Same seed, same bytes: for any number of threads, on any CPU, with any instruction set, in any build type.
// The golden hashes may change only when an environment, a random stream or the restart rule is changed on
// purpose.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/hash.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

constexpr std::size_t kEnvs = 17001;  // enough for eight shards, and the last one odd
constexpr std::size_t kSteps = 210;

const std::map<std::string_view, std::uint64_t> kGolden = {
    {"CartPole-v1", 0xaeae4bcfdd7a5a10ULL},
    {"MountainCar-v0", 0xe2ed24daf17bf7a3ULL},
    {"MountainCarContinuous-v0", 0x7529d29f60130565ULL},
    {"Acrobot-v1", 0xb70dc68c858c812cULL},
    {"Pendulum-v1", 0xe23f77dcf2497ea4ULL},
};

class ThreadInvariance : public testing::TestWithParam<std::string_view> {};

// Episodes of all ages, so that time limits fall into the few steps that are played.
void spread_ages(VectorEnv& env) {
  const std::size_t limit = env.spec().max_episode_steps;
  std::vector<float> state(env.spec().state_dim);
  for (std::size_t i = 0; i < env.num_envs(); ++i) {
    env.get_state(i, state);
    env.set_state(i, state, i % limit);
  }
}

float action_from(std::uint32_t bits, const EnvSpec& spec) {
  if (spec.action_kind == ActionKind::kContinuous) return static_cast<float>(bits >> 8U) * 0x1p-22F - 2.0F;
  const std::uint64_t choice = (static_cast<std::uint64_t>(bits) * spec.num_actions) >> 32U;
  return static_cast<float>(choice);
}

std::uint64_t rollout_hash(std::string_view name, int threads, InstructionSet set) {
  const auto env = make_vector_env(name, kEnvs, 42, std::make_shared<ThreadPool>(threads), set);
  const EnvSpec& spec = env->spec();
  if (spec.max_episode_steps > kSteps) spread_ages(*env);
  StepBuffers out(kEnvs, spec.obs_dim);
  std::vector<float> actions(kEnvs * spec.action_dim);
  Rng rng(7);
  Fnv1a hash;
  for (std::size_t t = 0; t < kSteps; ++t) {
    for (float& action : actions) action = action_from(rng.next_u32(), spec);
    env->step(actions, out.output());
    if (t % 30 != 29) continue;  // hashing every step would take longer than stepping
    hash.update_values<float>(out.observations);
    hash.update_values<float>(out.rewards);
    hash.update_values<std::uint8_t>(out.terminated);
    hash.update_values<std::uint8_t>(out.truncated);
    hash.update_values<float>(out.final_observations);
    hash.update_values<float>(out.episode_returns);
    hash.update_values<std::int32_t>(out.episode_lengths);
  }
  return hash.digest();
}

TEST_P(ThreadInvariance, OneHashForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 8}) {
    EXPECT_EQ(rollout_hash(GetParam(), threads, best_instruction_set()), kGolden.at(GetParam())) << threads;
  }
}

TEST_P(ThreadInvariance, OneHashForAnyInstructionSet) {
  for (const InstructionSet set : supported_instruction_sets()) {
    EXPECT_EQ(rollout_hash(GetParam(), 1, set), kGolden.at(GetParam())) << to_text(set);
  }
}

INSTANTIATE_TEST_SUITE_P(AllEnvs, ThreadInvariance, testing::ValuesIn(env_names()), [](const auto& env) {
  std::string name(env.param);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

TEST(InstructionSets, TheBaselineIsAlwaysThereAndTheBestIsTheLast) {
  const auto sets = supported_instruction_sets();
  EXPECT_EQ(sets.front(), InstructionSet::kBaseline);
  EXPECT_EQ(sets.back(), best_instruction_set());
  EXPECT_EQ(to_text(InstructionSet::kAvx512), "avx512");
}

TEST(InstructionSets, OneThatTheProcessorLacksIsRefused) {
  const auto missing = static_cast<InstructionSet>(static_cast<int>(best_instruction_set()) + 1);
  EXPECT_MESSAGE(make_vector_env("CartPole-v1", 1, 0, std::make_shared<ThreadPool>(1), missing),
                 std::invalid_argument, "this processor has no");
}

}  // namespace
}  // namespace murmur
