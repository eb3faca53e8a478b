// On a real GPU: the same bytes as the emulation, which the other tests hold to the CPU's back ends. Label:
// gpu.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/device_envs.hpp"
#include "cuda/host_executor.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "murmur/cuda/cuda_backend.hpp"
#include "murmur/envs/registry.hpp"
#include "random_minibatch.hpp"

namespace murmur::cuda {
namespace {

using testing::Minibatch;
using testing::params_of;
using testing::random_params;

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string problem = why_no_gpu(); !problem.empty()) GTEST_SKIP() << problem;
  }
};

std::unique_ptr<PpoBackend> emulated(const PolicyLayout& layout) {
  return std::make_unique<DeviceModel<HostExecutor>>(std::make_shared<HostExecutor>(), layout);
}

std::unique_ptr<PpoAgent> make_agent(const std::string& env, const PpoConfig& config, bool on_gpu) {
  auto pool = std::make_shared<ThreadPool>(1);
  const EnvFactory make_env = [=](std::size_t n, std::uint64_t seed) {
    return make_vector_env(env, n, seed, pool);
  };
  return std::make_unique<PpoAgent>(config, make_env, [=](const PolicyLayout& layout, Device) {
    return on_gpu ? make_cuda_backend(layout) : emulated(layout);
  });
}

TEST_F(Gpu, ForwardAndUpdatesHaveTheBytesOfTheEmulation) {
  for (const PolicyLayout& layout : {PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh}),
                                     PolicyLayout({3, false, 1, {16, 32}, Activation::kTanh}),
                                     PolicyLayout({7, true, 5, {8}, Activation::kRelu}),
                                     PolicyLayout({11, false, 6, {33, 96, 17}, Activation::kTanh}),
                                     PolicyLayout({4, true, 3, {30, 64}, Activation::kSilu}),
                                     PolicyLayout({5, false, 4, {48, 31, 8}, Activation::kSilu, true})}) {
    SCOPED_TRACE(std::to_string(layout.num_params()) + " parameters");
    const auto gpu = make_cuda_backend(layout), oracle = emulated(layout);
    Rng rng(5);
    const std::vector<float> params = random_params(layout, rng);
    gpu->set_params(params);
    oracle->set_params(params);
    Minibatch minibatch(layout, *oracle, 1000, rng, 0.2F);
    minibatch.set_base(layout, *oracle);
    std::vector<float> a(1000 * layout.spec().action_dim), b(a.size());
    gpu->act(minibatch.observations, a);
    oracle->act(minibatch.observations, b);
    EXPECT_EQ(a, b);
    const PpoLossSettings loss{.entropy_coef = 0.01F, .kl_penalty = 0.5F};
    for (int step = 0; step < 5; ++step) {
      const PpoLossStats x = gpu->step(minibatch.batch(), loss, {}, 0.0);
      const PpoLossStats y = oracle->step(minibatch.batch(), loss, {}, 0.0);
      EXPECT_EQ(x.loss, y.loss);
      EXPECT_EQ(x.base_kl, y.base_kl);
      EXPECT_EQ(x.approx_kl, y.approx_kl);
      ASSERT_EQ(params_of(*gpu, layout), params_of(*oracle, layout)) << "step " << step;
    }
  }
}

class GpuOfEveryEnv : public Gpu, public ::testing::WithParamInterface<std::string_view> {};

TEST_P(GpuOfEveryEnv, TrainingHasTheBytesOfTheEmulation) {
  PpoConfig config;
  config.hidden = {32, 32};
  config.num_envs = 100;
  config.rollout_steps = 60;
  config.minibatch_size = 1500;
  config.normalize_observations = true;
  config.normalize_rewards = true;
  const auto gpu = make_agent(std::string(GetParam()), config, true);
  const auto oracle = make_agent(std::string(GetParam()), config, false);
  for (int call = 0; call < 3; ++call) {
    const TrainStats a = gpu->train(2 * config.batch_size(), 1e9);
    const TrainStats b = oracle->train(2 * config.batch_size(), 1e9);
    EXPECT_EQ(a.episodes, b.episodes);
    EXPECT_EQ(a.value_loss, b.value_loss);
    ASSERT_EQ(gpu->save(), oracle->save()) << "call " << call;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, GpuOfEveryEnv, ::testing::ValuesIn(env_names()), [](const auto& env) {
  std::string name(env.param);
  std::erase(name, '-');
  return name;
});

TEST_F(Gpu, LearnsCartPole) {
  PpoConfig config;
  config.num_envs = 64;
  config.rollout_steps = 64;
  config.minibatch_size = 512;
  config.epochs = 8;
  config.learning_rate = 1e-3;
  config.gae_lambda = 0.9;
  const auto agent = make_agent("CartPole-v1", config, true);
  agent->train(300'000, 1e9);
  EXPECT_GT(agent->evaluate(100, 3), 450.0);
}

}  // namespace
}  // namespace murmur::cuda
