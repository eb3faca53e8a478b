// The libtorch back end against plain loops in double precision, and its own guarantees.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "expect_message.hpp"
#include "murmur/agents/fused_backend.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/policy_head.hpp"
#include "murmur/agents/policy_init.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "random_minibatch.hpp"
#include "scalar_backend.hpp"

namespace murmur {
namespace {

using testing::Minibatch;
using testing::params_of;
using testing::ScalarBackend;

std::vector<PolicyLayout> layouts() {
  return {PolicyLayout({4, true, 2, {64, 64}, Activation::kTanh}),
          PolicyLayout({3, false, 1, {16, 32}, Activation::kTanh}),
          PolicyLayout({7, true, 5, {8}, Activation::kRelu}),
          PolicyLayout({2, false, 3, {12, 8, 4}, Activation::kRelu}),
          PolicyLayout({4, true, 2, {24, 10}, Activation::kSilu}),
          PolicyLayout({3, false, 1, {16, 16}, Activation::kTanh, true}),
          PolicyLayout({5, true, 3, {8, 8, 8, 8, 8}, Activation::kSilu, true})};
}

std::unique_ptr<PpoBackend> libtorch(const PolicyLayout& layout, Device device = Device::kCpu,
                                     int threads = 1) {
  return make_libtorch_backend(layout, device, std::make_shared<ThreadPool>(threads));
}

TEST(LibtorchBackend, TenUpdatesAgreeWithPlainLoops) {
  for (const PolicyLayout& layout : layouts()) {
    SCOPED_TRACE(std::to_string(layout.num_params()) + " parameters");
    Rng rng(5);
    std::vector<float> params(layout.num_params());
    initialize_params(layout, 1, params);
    for (float& p : params) p += rng.uniform(-0.05F, 0.05F);  // biases and log_std away from zero
    const auto torch = libtorch(layout);
    ScalarBackend plain(layout);
    torch->enter();
    torch->set_params(params);
    plain.set_params(params);
    const PpoLossSettings loss{.entropy_coef = 0.01F, .kl_penalty = 0.5F};
    const AdamSettings adam{.learning_rate = 1e-3};
    Minibatch minibatch(layout, plain, 40, rng);
    minibatch.set_base(layout, plain);
    for (int update = 0; update < 10; ++update) {
      const PpoLossStats a = torch->step(minibatch.batch(), loss, adam, 0.0);
      const PpoLossStats b = plain.step(minibatch.batch(), loss, adam, 0.0);
      EXPECT_NEAR(a.loss, b.loss, 1e-5 * (1.0 + std::abs(b.loss))) << update;
      EXPECT_NEAR(a.approx_kl, b.approx_kl, 1e-5) << update;
    }
    const std::vector<float> x = params_of(*torch, layout);
    const std::vector<float> y = params_of(plain, layout);
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 2e-5F) << layout.describe(i);
    const AdamState state = torch->optimizer_state();
    EXPECT_EQ(state.steps, 10);
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(state.first[i], plain.optimizer_state().first[i], 1e-5F);
  }
}

TEST(LibtorchBackend, AMinibatchOfManyChunksAgreesWithTheFusedBackEndForAnyNumberOfThreads) {
  for (const PolicyLayout& layout : {layouts()[0], layouts()[1], layouts()[5]}) {
    Rng rng(7);
    const std::vector<float> params = testing::random_params(layout, rng);
    const auto plain = make_fused_backend(layout, Device::kCpu, std::make_shared<ThreadPool>(1));
    plain->set_params(params);
    Minibatch minibatch(layout, *plain, 5000, rng, 0.3F);  // two chunks and a part of one
    minibatch.set_base(layout, *plain);
    const PpoLossSettings loss{.entropy_coef = 0.01F, .kl_penalty = 0.5F};
    std::vector<float> values(5000), expected_values(5000), one_thread;
    plain->value(minibatch.observations, expected_values);
    const std::vector<float> expected = testing::gradient_of(*plain, layout, minibatch.batch(), loss);
    for (const int threads : {1, 2, 3}) {
      const auto torch = libtorch(layout, Device::kCpu, threads);
      torch->enter();
      torch->set_params(params);
      torch->value(minibatch.observations, values);
      for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected_values[i], 1e-4F);
      const std::vector<float> gradient = testing::gradient_of(*torch, layout, minibatch.batch(), loss);
      for (std::size_t i = 0; i < gradient.size(); ++i)
        ASSERT_NEAR(gradient[i], expected[i], 1e-5F) << layout.describe(i);
      if (threads == 1) one_thread = gradient;
      EXPECT_EQ(gradient, one_thread) << threads << " threads";
    }
  }
}

TEST(LibtorchBackend, ABadMinibatchTouchesNothing) {
  const PolicyLayout layout = layouts()[1];
  const auto backend = libtorch(layout);
  backend->enter();
  std::vector<float> params(layout.num_params());
  initialize_params(layout, 1, params);
  backend->set_params(params);
  Rng rng(6);
  Minibatch minibatch(layout, *backend, 16, rng);
  backend->step(minibatch.batch(), {}, {}, 0.0);
  const std::vector<float> before = params_of(*backend, layout);
  const AdamState adam_before = backend->optimizer_state();

  Minibatch nan_return = minibatch;
  nan_return.returns[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(backend->step(nan_return.batch(), {}, {}, 0.0), NonFiniteError, "loss is not finite");
  Minibatch nan_observation = minibatch;
  nan_observation.observations[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_MESSAGE(backend->step(nan_observation.batch(), {}, {}, 0.0), NonFiniteError, "not finite");
  EXPECT_EQ(params_of(*backend, layout), before);
  EXPECT_EQ(backend->optimizer_state().steps, adam_before.steps);
  EXPECT_EQ(backend->optimizer_state().first, adam_before.first);
}

TEST(LibtorchBackend, AnOverflowingGradientNamesItsTensorAndTouchesNothing) {
  const PolicyLayout layout({1, true, 2, {2}, Activation::kRelu});
  const auto backend = libtorch(layout);
  backend->enter();
  // The critic sees 3e38 * 2e-38 = 6, so all outputs and the loss are finite; its weight's gradient is 3e38
  // times an error of about 100.
  std::vector<float> params(layout.num_params());
  for (std::size_t i = 0; i < 2; ++i) {
    params[layout.critic()[0].weight_offset + i] = 2e-38F;
    params[layout.critic()[1].weight_offset + i] = 1.0F;
  }
  backend->set_params(params);
  const std::vector<float> observations{3e38F, 3e38F}, actions{0.0F, 1.0F}, log_probs{-0.69F, -0.69F},
      advantages{1.0F, 2.0F}, returns{100.0F, 100.0F}, values{12.0F, 12.0F};
  const PpoBatch batch{observations, actions, log_probs, advantages, returns, values};
  EXPECT_MESSAGE(backend->step(batch, {.value_clip_range = 0.0F}, {}, 0.0), NonFiniteError,
                 "gradient of critic layer 0 weight");
  EXPECT_EQ(params_of(*backend, layout), params);
  EXPECT_EQ(backend->optimizer_state().steps, 0);
}

TEST(LibtorchBackend, AMinibatchBeyondTheKlLimitTouchesNothing) {
  const PolicyLayout layout = layouts()[0];
  const auto backend = libtorch(layout);
  backend->enter();
  std::vector<float> params(layout.num_params());
  initialize_params(layout, 1, params);
  backend->set_params(params);
  Rng rng(6);
  Minibatch minibatch(layout, *backend, 16, rng);
  for (float& lp : minibatch.log_probs) lp -= 0.5F;  // as if the policy had moved
  const PpoLossStats stats = backend->step(minibatch.batch(), {}, {}, 0.01);
  EXPECT_GT(stats.approx_kl, 0.01);
  EXPECT_EQ(params_of(*backend, layout), params);
  EXPECT_EQ(backend->optimizer_state().steps, 0);
}

TEST(LibtorchBackend, WrongShapesAreNamed) {
  const PolicyLayout layout = layouts()[0];
  const auto backend = libtorch(layout);
  std::vector<float> seven(7), two(2);
  EXPECT_MESSAGE(backend->act(seven, two), std::invalid_argument, "rows of 4");
  Rng rng(6);
  Minibatch minibatch(layout, *backend, 16, rng);
  minibatch.log_probs.pop_back();
  EXPECT_MESSAGE(backend->step(minibatch.batch(), {}, {}, 0.0), std::invalid_argument, "log_probs");
  EXPECT_MESSAGE(backend->set_params(seven), std::invalid_argument, "params");
  EXPECT_MESSAGE(backend->set_optimizer_state(AdamState(3)), std::invalid_argument, "moments");
}

TEST(LibtorchBackend, CudaWithoutADeviceIsRefusedAndAutoFallsBackAndSaysSo) {
  const PolicyLayout layout = layouts()[0];
  const auto automatic = libtorch(layout, Device::kAuto);
  if (automatic->name() != "libtorch on cpu") GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_MESSAGE(libtorch(layout, Device::kCuda), std::invalid_argument, "device is 'cuda'");
}

class AgentOn : public ::testing::TestWithParam<Backend> {};
INSTANTIATE_TEST_SUITE_P(Backends, AgentOn, ::testing::Values(Backend::kLibtorch, Backend::kFused),
                         [](const auto& entry) { return std::string(to_string(entry.param)); });

TEST_P(AgentOn, SameSeedSameCheckpointForAnyNumberOfThreads) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    std::vector<std::byte> expected;
    for (const int threads : {1, 2, 8}) {
      PpoConfig config;
      config.backend = GetParam();
      config.num_envs = 256;
      config.rollout_steps = 16;
      config.minibatch_size = 4096;  // two of the libtorch back end's chunks
      config.normalize_observations = config.normalize_rewards = true;
      config.threads = threads;
      const auto agent = make_ppo_agent(env, config);
      agent->train(3 * config.batch_size(), std::numeric_limits<double>::infinity());
      if (threads == 1) expected = agent->save();
      EXPECT_EQ(agent->save(), expected) << env << " with " << threads << " threads";
    }
  }
}

TEST_P(AgentOn, CheckpointsGoOnWithTheOtherBackEnd) {
  PpoConfig config;
  config.backend = GetParam();
  const auto first = make_ppo_agent("CartPole-v1", config);
  first->train(config.batch_size(), std::numeric_limits<double>::infinity());
  config.backend = GetParam() == Backend::kFused ? Backend::kLibtorch : Backend::kFused;
  const auto second = make_ppo_agent("CartPole-v1", config);
  second->load(first->save());
  EXPECT_EQ(second->save(), first->save());
  EXPECT_EQ(second->evaluate(5, 1), first->evaluate(5, 1));
}

TEST(MakePpoAgent, RefusesAnUnknownEnvNamingTheNearest) {
  EXPECT_MESSAGE(make_ppo_agent("Cartpole-v1", {}), std::invalid_argument, "'CartPole-v1'");
}

TEST(MakePpoAgent, AutoChoosesFusedForSmallNetworksAndSaysWhyNotForWideOnes) {
  PpoConfig config;
  config.device = Device::kCpu;
  EXPECT_EQ(make_ppo_agent("CartPole-v1", config)->backend_name().substr(0, 5),
            kernels::has_vector_kernels() ? "fused" : "libto");
  config.hidden = {64, 600};
  EXPECT_EQ(make_ppo_agent("CartPole-v1", config)->backend_name(),
            "libtorch on cpu (a layer of 600 units is wider than 512)");
  config.hidden = {8, 8, 8, 8};
  EXPECT_EQ(make_ppo_agent("CartPole-v1", config)->backend_name(),
            "libtorch on cpu (hidden has 4 layers, not 1 to 3)");
  config.backend = Backend::kFused;  // asked for by name, it refuses: no silent fallback
  EXPECT_MESSAGE(make_ppo_agent("CartPole-v1", config), std::invalid_argument,
                 "backend 'fused' cannot run this network: hidden has 4 layers");
  config.hidden = {8};
  config.device = Device::kCuda;
  EXPECT_MESSAGE(make_ppo_agent("CartPole-v1", config), std::invalid_argument, "device is 'cuda'");
}

}  // namespace
}  // namespace murmur
