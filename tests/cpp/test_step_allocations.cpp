// `step` allocates nothing. A program of its own: it replaces operator new, which in the main test program
// would switch off AddressSanitizer's own checks of new and delete.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "murmur/envs/registry.hpp"
#include "murmur/rollout/rollout_buffer.hpp"
#include "murmur/rollout/running_moments.hpp"

namespace {
std::atomic<long> allocations{0};  // by any thread
}  // namespace

// Not inlined, because GCC then takes the pair for a mismatch (-Wmismatched-new-delete).
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace murmur {
namespace {

TEST(StepAllocations, TheCounterCounts) {
  const long before = allocations;
  const auto number = std::make_unique<int>(3);
  EXPECT_EQ(allocations - before, 1) << *number;
}

TEST(StepAllocations, SteppingNormalisingAndGaeAllocateNothing) {
  constexpr std::size_t kEnvs = 5000;  // more than one shard
  for (const std::string_view name : env_names()) {
    const auto env = make_vector_env(name, kEnvs, 1, std::make_shared<ThreadPool>(2));
    const std::size_t dim = env->spec().obs_dim;
    StepBuffers out(kEnvs, dim);
    const std::vector<float> actions(kEnvs * env->spec().action_dim, 1.0F);
    RunningMoments moments(dim);
    Normalizer normalizer(dim);
    RolloutBuffer rollout({.num_steps = 4, .num_envs = kEnvs, .obs_dim = dim, .action_dim = 1});
    std::size_t ended = 0;
    const long before = allocations;
    for (std::size_t t = 0; t < env->spec().max_episode_steps + 10;
         ++t) {  // restarts and time limits included
      env->step(actions, out.output());
      moments.update(out.observations, dim);
      normalizer.refresh(moments);
      normalizer.apply(out.observations, rollout.at_step(rollout.observations, t % 4, dim));
      for (std::size_t i = 0; i < kEnvs; ++i) ended += out.terminated[i] | out.truncated[i];
    }
    rollout.compute_advantages(0.99F, 0.95F);
    EXPECT_EQ(allocations - before, 0) << name;
    EXPECT_GE(ended, kEnvs) << name;
  }
}

}  // namespace
}  // namespace murmur
