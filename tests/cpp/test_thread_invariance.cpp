// Same seed, same bytes: for any number of threads, on any CPU, in any build type. The golden hashes may
// change only when an environment, a random stream or the restart rule is changed on purpose.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "murmur/base/hash.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

constexpr std::size_t kEnvs = 17001;  // enough for eight shards, and the last one odd
constexpr std::size_t kSteps = 210;   // beyond Pendulum's time limit

std::uint64_t rollout_hash(std::string_view name, int threads) {
  const auto env = make_vector_env(name, kEnvs, 42, std::make_shared<ThreadPool>(threads));
  const EnvSpec& spec = env->spec();
  StepBuffers out(kEnvs, spec.obs_dim);
  std::vector<float> actions(kEnvs * spec.action_dim);
  Rng rng(7);
  Fnv1a hash;
  for (std::size_t t = 0; t < kSteps; ++t) {
    for (float& action : actions) {
      const std::uint32_t bits = rng.next_u32();
      action = spec.action_kind == ActionKind::kDiscrete ? static_cast<float>(bits >> 31U)
                                                         : static_cast<float>(bits >> 8U) * 0x1p-22F - 2.0F;
    }
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

TEST(ThreadInvariance, CartPoleHasOneHashForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 8})
    EXPECT_EQ(rollout_hash("CartPole-v1", threads), 0x6203aa42994ad0eeULL) << threads;
}

TEST(ThreadInvariance, PendulumHasOneHashForAnyNumberOfThreads) {
  for (const int threads : {1, 2, 8})
    EXPECT_EQ(rollout_hash("Pendulum-v1", threads), 0xe23f77dcf2497ea4ULL) << threads;
}

}  // namespace
}  // namespace murmur
