// The worked example of docs/adding-an-environment.md does what its documentation says, on every instruction
// set.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "example_env.hpp"
#include "murmur/envs/batched_env.hpp"

namespace murmur {
namespace {

TEST(ExampleEnv, StepsAsTheEquationsSay) {
  BatchedEnv<Puck> env(1, 0, std::make_shared<ThreadPool>(1), best_instruction_set());
  const EnvVariant heavy{.params = {{"mass", 2.0}, {"friction", 0.5}, {"dt", 0.1}}, .count = 1};
  env.assign_variants(std::span(&heavy, 1));
  env.set_state(0, std::vector<float>{1.0F, -2.0F}, 0);
  StepBuffers out(1, 2);
  env.step(std::vector<float>{7.0F}, out.output());  // clipped to 1
  const float velocity = -2.0F + 0.1F / 2.0F * (1.0F + 0.5F * 2.0F);
  EXPECT_FLOAT_EQ(out.observations[1], velocity);
  EXPECT_FLOAT_EQ(out.observations[0], 1.0F + 0.1F * velocity);
  EXPECT_FLOAT_EQ(out.rewards[0], -0.1F * (1.0F + 0.1F));
  EXPECT_EQ(out.terminated[0], 0);
}

TEST(ExampleEnv, EndsBeyondTheEdge) {
  BatchedEnv<Puck> env(1, 0, std::make_shared<ThreadPool>(1), best_instruction_set());
  env.set_state(0, std::vector<float>{2.99F, 5.0F}, 0);
  StepBuffers out(1, 2);
  env.step(std::vector<float>{0.0F}, out.output());
  EXPECT_EQ(out.terminated[0], 1);
  EXPECT_GT(out.final_observations[0], 3.0F);
  EXPECT_LE(std::abs(out.observations[0]), 2.0F) << "a new episode has begun";
}

TEST(ExampleEnv, IsTheSameOnEveryInstructionSet) {
  constexpr std::size_t kEnvs = 1001;
  std::vector<std::vector<float>> ends;
  for (const InstructionSet set : supported_instruction_sets()) {
    BatchedEnv<Puck> env(kEnvs, 3, std::make_shared<ThreadPool>(2), set);
    StepBuffers out(kEnvs, 2);
    std::vector<float> actions(kEnvs);
    Rng rng(1);
    for (int t = 0; t < 300; ++t) {
      for (float& action : actions) action = rng.uniform(-1.5F, 1.5F);
      env.step(actions, out.output());
    }
    ends.push_back(out.observations);
  }
  for (const auto& end : ends) EXPECT_EQ(end, ends.front());
}

}  // namespace
}  // namespace murmur
