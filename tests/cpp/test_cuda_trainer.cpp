// Rollouts, advantages and whole iterations of the CUDA trainer, emulated on the CPU, against the parts that
// do the same on the host.

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/device_envs.hpp"
#include "cuda/host_executor.hpp"
#include "expect_message.hpp"
#include "murmur/agents/fused_backend.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/ppo_agent.hpp"
#include "murmur/envs/registry.hpp"
#include "murmur/rollout/gae.hpp"

namespace murmur::cuda {
namespace {

PpoConfig small_config() {
  PpoConfig config;
  config.hidden = {16, 16};
  config.num_envs = 12;  // not a whole number of blocks
  config.rollout_steps = 40;
  config.minibatch_size = 96;
  config.epochs = 3;
  return config;
}

std::unique_ptr<PpoAgent> make_agent(const std::string& env, const PpoConfig& config, bool emulated,
                                     EmulationOrder order = EmulationOrder::kForward) {
  auto pool = std::make_shared<ThreadPool>(1);
  const EnvFactory make_env = [=](std::size_t n, std::uint64_t seed) {
    return make_vector_env(env, n, seed, pool);
  };
  return std::make_unique<PpoAgent>(
      config, make_env, [=](const PolicyLayout& layout, Device) -> std::unique_ptr<PpoBackend> {
        if (!emulated) return make_fused_backend(layout, Device::kCpu, pool);
        return std::make_unique<DeviceModel<HostExecutor>>(std::make_shared<HostExecutor>(order), layout);
      });
}

std::vector<float> params_of(const PpoAgent& agent) {
  std::vector<float> params(agent.layout().num_params());
  agent.get_params(params);
  return params;
}

class CudaTrainerOfEveryEnv : public ::testing::TestWithParam<std::string_view> {};

TEST_P(CudaTrainerOfEveryEnv, TheOrderOfBlocksAndThreadsChangesNoByte) {
  PpoConfig config = small_config();
  config.normalize_observations = true;
  config.normalize_rewards = true;
  std::vector<std::vector<std::byte>> states;
  for (const auto order : {EmulationOrder::kForward, EmulationOrder::kBackward, EmulationOrder::kShuffled}) {
    const auto agent = make_agent(std::string(GetParam()), config, true, order);
    agent->train(3 * config.batch_size(), 1e9);
    states.push_back(agent->save());
  }
  EXPECT_EQ(states[0], states[1]);
  EXPECT_EQ(states[0], states[2]);
}

TEST_P(CudaTrainerOfEveryEnv, ACheckpointGoesOnWithTheSameBytes) {
  const PpoConfig config = small_config();
  const auto whole = make_agent(std::string(GetParam()), config, true);
  whole->train(2 * config.batch_size(), 1e9);
  const std::vector<std::byte> middle = whole->save();
  const auto resumed = make_agent(std::string(GetParam()), config, true);
  resumed->load(middle);
  for (PpoAgent* agent : {whole.get(), resumed.get()}) agent->train(2 * config.batch_size(), 1e9);
  EXPECT_EQ(whole->save(), resumed->save());
}

TEST_P(CudaTrainerOfEveryEnv, ACheckpointMovesToTheHostAndBack) {
  const PpoConfig config = small_config();
  const auto device = make_agent(std::string(GetParam()), config, true);
  const auto host = make_agent(std::string(GetParam()), config, false);
  device->train(config.batch_size(), 1e9);
  const std::vector<std::byte> saved = device->save();
  host->load(saved);
  EXPECT_EQ(host->save(), saved);
  const double expected = host->evaluate(3, 5);
  EXPECT_NEAR(device->evaluate(3, 5), expected, 1e-4 * (1.0 + std::abs(expected)));
  host->train(config.batch_size(), 1e9);
  device->load(host->save());
  EXPECT_EQ(params_of(*device), params_of(*host));
}

TEST_P(CudaTrainerOfEveryEnv, StatisticsAreThoseOfOneRolloutAndAgreeInLawWithTheHosts) {
  PpoConfig config = small_config();
  config.num_envs = 64;
  config.rollout_steps = 200;
  config.minibatch_size = 6400;
  config.epochs = 1;
  const auto device = make_agent(std::string(GetParam()), config, true);
  const auto host = make_agent(std::string(GetParam()), config, false);
  const TrainStats a = device->train(1, 1e9), b = host->train(1, 1e9);
  EXPECT_EQ(a.env_steps, config.batch_size());
  EXPECT_NEAR(a.entropy, b.entropy, 0.02 * (1.0 + std::abs(b.entropy)));
  EXPECT_NEAR(a.value_loss, b.value_loss, 0.3 * b.value_loss);
  // Other actions, the same law: means lie within a few standard errors of strongly dependent samples.
  const RunningMoments &seen = device->moments().fresh(), &expected = host->moments().fresh();
  for (std::size_t k = 0; k < seen.size(); ++k) {
    EXPECT_EQ(seen.count()[k], expected.count()[k]);
    const double spread = std::sqrt(expected.variance(k));
    EXPECT_NEAR(seen.mean()[k], expected.mean()[k], 0.25 * spread + 1e-6) << "quantity " << k;
    EXPECT_NEAR(std::sqrt(seen.variance(k)), spread, 0.25 * spread + 1e-6) << "quantity " << k;
  }
  if (b.episodes > 0) {
    EXPECT_NEAR(static_cast<double>(a.episodes), static_cast<double>(b.episodes),
                0.15 * static_cast<double>(b.episodes) + 2.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, CudaTrainerOfEveryEnv, ::testing::ValuesIn(env_names()),
                         [](const auto& env) {
                           std::string name(env.param);
                           std::erase(name, '-');
                           return name;
                         });

// --- the rollout kernel, step by step, against the batch of the same envs
// --------------------------------------

/// One rollout of envs of type E in emulation, with everything that it recorded.
template <Environment E>
struct Played {
  static constexpr int kEnvs = 10, kSteps = 700;  // longer than an episode of any env but one
  static constexpr std::size_t kSamples = std::size_t{kEnvs} * kSteps;

  explicit Played(float gamma = 0.9F)
      : pool(std::make_shared<ThreadPool>(1)), batch(kEnvs, 5, pool, best_instruction_set()) {
    const bool discrete = E::kSpec.action_kind == ActionKind::kDiscrete;
    const PolicyLayout layout({E::kSpec.obs_dim,
                               discrete,
                               discrete ? E::kSpec.num_actions : E::kSpec.action_dim,
                               {8},
                               Activation::kTanh});
    std::vector<float> params(layout.num_params());
    Rng rng(6);
    for (float& p : params) p = rng.uniform(-0.5F, 0.5F);
    // Every second env is another variant, so that constants and seed ranges are seen to travel.
    EnvVariant other{
        {{std::string(E::kSpec.params[0].name), E::kSpec.params[0].default_value * 1.25}}, 3, 9, kEnvs / 2};
    EnvVariant usual;
    usual.count = kEnvs / 2;
    batch.assign_variants(std::vector{other, usual});
    std::vector<EnvRow<E>> rows;
    for (std::size_t i = 0; i < kEnvs; ++i) rows.push_back(batch.row(i));
    const PolicyPlan plan = plan_policy(layout, executor.shared_limit());
    const RolloutInputs inputs{77, {}};
    discounted_now.assign(kEnvs, 0.0F);
    final_observations.resize(std::size_t{max_truncations(kSteps, E::kSpec.max_episode_steps)} * kEnvs *
                              kObs);
    executor.launch(Rollout<E>{.plan = plan,
                               .tile = plan_tile(plan, 4),
                               .num_envs = kEnvs,
                               .num_steps = kSteps,
                               .gamma = gamma,
                               .params = params.data(),
                               .inputs = &inputs,
                               .see = {},
                               .envs = rows.data(),
                               .out = {.observations = observations.data(),
                                       .actions = actions.data(),
                                       .log_probs = log_probs.data(),
                                       .rewards = rewards.data(),
                                       .discounted = discounted.data(),
                                       .ended = ended.data(),
                                       .final_observations = final_observations.data(),
                                       .discounted_now = discounted_now.data(),
                                       .truncations = truncations.data(),
                                       .episodes = episodes.data(),
                                       .return_sums = return_sums.data(),
                                       .length_sums = length_sums.data()},
                               .control = &control},
                    3, Rollout<E>::shared_bytes(plan, 4));
    after = rows;
  }

  static constexpr std::size_t kObs = E::kSpec.obs_dim;
  HostExecutor executor;
  std::shared_ptr<ThreadPool> pool;
  BatchedEnv<E> batch;  // where the rollout began
  Control control;
  std::vector<float> observations = std::vector<float>((kSamples + kEnvs) * kObs);
  std::vector<float> actions = std::vector<float>(kSamples * E::kSpec.action_dim),
                     log_probs = std::vector<float>(kSamples);
  std::vector<float> rewards = std::vector<float>(kSamples), discounted = std::vector<float>(kSamples);
  std::vector<std::uint8_t> ended = std::vector<std::uint8_t>(kSamples);
  std::vector<float> final_observations, discounted_now;
  std::vector<std::int32_t> truncations = std::vector<std::int32_t>(kEnvs),
                            episodes = std::vector<std::int32_t>(kEnvs),
                            length_sums = std::vector<std::int32_t>(kEnvs);
  std::vector<double> return_sums = std::vector<double>(kEnvs);
  std::vector<EnvRow<E>> after;
};

template <class E>
class CudaRollout : public ::testing::Test {};
using Envs = ::testing::Types<CartPole, MountainCar, MountainCarContinuous, Acrobot, Pendulum>;
TYPED_TEST_SUITE(CudaRollout, Envs);

TYPED_TEST(CudaRollout, EqualsTheBatchOfTheSameEnvsBitForBit) {
  using E = TypeParam;
  Played<E> played;
  constexpr std::size_t kN = Played<E>::kEnvs, kD = E::kSpec.obs_dim, kA = E::kSpec.action_dim;
  StepBuffers buffers(kN, kD);
  std::vector<std::int32_t> truncations(kN), episodes(kN), length_sums(kN);
  std::vector<double> return_sums(kN);
  played.batch.observe(buffers.observations);
  for (std::size_t step = 0; step < Played<E>::kSteps; ++step) {
    const auto row = [&](std::vector<float>& array, std::size_t width) {
      return std::vector<float>(array.begin() + static_cast<std::ptrdiff_t>(step * kN * width),
                                array.begin() + static_cast<std::ptrdiff_t>((step + 1) * kN * width));
    };
    ASSERT_EQ(row(played.observations, kD), buffers.observations) << "step " << step;
    played.batch.step(row(played.actions, kA), buffers.output());
    ASSERT_EQ(row(played.rewards, 1), buffers.rewards);
    for (std::size_t i = 0; i < kN; ++i) {
      ASSERT_EQ(played.ended[step * kN + i], buffers.terminated[i] | (buffers.truncated[i] << 1));
      if (played.ended[step * kN + i] == 0) continue;
      ++episodes[i];
      return_sums[i] += static_cast<double>(buffers.episode_returns[i]);
      length_sums[i] += buffers.episode_lengths[i];
      if (buffers.terminated[i] != 0) continue;
      for (std::size_t k = 0; k < kD; ++k) {
        ASSERT_EQ(played.final_observations[(static_cast<std::size_t>(truncations[i]) * kN + i) * kD + k],
                  buffers.final_observations[i * kD + k]);
      }
      ++truncations[i];
    }
  }
  EXPECT_EQ(played.truncations, truncations);
  EXPECT_EQ(played.episodes, episodes);
  EXPECT_EQ(played.return_sums, return_sums);
  EXPECT_EQ(played.length_sums, length_sums);
  EXPECT_EQ(played.control.fault, kNoFault);
  for (std::size_t i = 0; i < kN; ++i) {  // and where it goes on
    EXPECT_EQ(played.after[i].state, played.batch.row(i).state);
    EXPECT_EQ(played.after[i].elapsed, played.batch.row(i).elapsed);
    EXPECT_EQ(played.after[i].episode_seeds.state(), played.batch.row(i).episode_seeds.state());
  }
}

TYPED_TEST(CudaRollout, DiscountedReturnsAreThoseOfTheHost) {
  using E = TypeParam;
  Played<E> played(0.9F);
  constexpr std::size_t kN = Played<E>::kEnvs;
  DiscountedReturns returns(kN, 0.9F);
  for (std::size_t step = 0; step < Played<E>::kSteps; ++step) {
    std::vector<std::uint8_t> ended(kN), none(kN);
    for (std::size_t i = 0; i < kN; ++i) ended[i] = played.ended[step * kN + i];
    const auto expected = returns.add(std::span(played.rewards).subspan(step * kN, kN));
    for (std::size_t i = 0; i < kN; ++i) ASSERT_EQ(played.discounted[step * kN + i], expected[i]);
    returns.end_episodes(ended, none);
  }
}

TYPED_TEST(CudaRollout, AdvantagesAreThoseOfTheHostBitForBit) {
  using E = TypeParam;
  Played<E> played;
  constexpr std::size_t kN = Played<E>::kEnvs, kSamples = Played<E>::kSamples;
  Rng rng(8);
  std::vector<float> values(kSamples + kN), final_values(played.final_observations.size() / E::kSpec.obs_dim);
  for (float& v : values) v = rng.uniform(-1.0F, 1.0F);
  for (float& v : final_values) v = rng.uniform(-1.0F, 1.0F);
  std::vector<float> advantages(kSamples), returns(kSamples), expected(kSamples);
  const RolloutInputs inputs{0, {}};
  const Moments seen{};
  played.executor.launch(Advantages{.num_envs = Played<E>::kEnvs,
                                    .num_steps = Played<E>::kSteps,
                                    .gamma = 0.98F,
                                    .lambda = 0.9F,
                                    .normalize_rewards = false,
                                    .reward_clip = 10.0F,
                                    .inputs = &inputs,
                                    .seen_returns = &seen,
                                    .rollout = {.rewards = played.rewards.data(),
                                                .ended = played.ended.data(),
                                                .truncations = played.truncations.data()},
                                    .values = values.data(),
                                    .final_values = final_values.data(),
                                    .control = &played.control,
                                    .advantages = advantages.data(),
                                    .returns = returns.data()},
                         1, 0);

  std::vector<std::uint8_t> terminated(kSamples), truncated(kSamples);
  std::vector<float> finals(kSamples);
  std::vector<std::size_t> used(kN);
  for (std::size_t at = 0; at < kSamples; ++at) {
    terminated[at] = played.ended[at] & 1;
    truncated[at] = played.ended[at] >> 1;
    if (truncated[at] != 0 && terminated[at] == 0) finals[at] = final_values[used[at % kN]++ * kN + at % kN];
  }
  compute_gae({Played<E>::kSteps, kN, played.rewards, values, terminated, truncated, finals}, 0.98F, 0.9F,
              expected);
  EXPECT_EQ(advantages, expected);
  for (std::size_t at = 0; at < kSamples; ++at) ASSERT_EQ(returns[at], advantages[at] + values[at]);
}

// --- whole iterations
// ------------------------------------------------------------------------------------------

TEST(CudaTrainer, LearnsCartPoleAsTheFusedBackEndDoes) {
  PpoConfig config;
  config.hidden = {32, 32};
  config.num_envs = 16;
  config.rollout_steps = 64;
  config.minibatch_size = 256;
  config.epochs = 8;
  config.learning_rate = 1e-3;
  config.gae_lambda = 0.9;
  const auto device = make_agent("CartPole-v1", config, true),
             host = make_agent("CartPole-v1", config, false);
  for (PpoAgent* agent : {device.get(), host.get()}) {
    agent->train(20'000, 1e9);  // six seeds of either: 180-480 from here on; untrained: 9-40
    EXPECT_GT(agent->evaluate(50, 3), 120.0) << agent->backend_name();
  }
}

TEST(CudaTrainer, ADivergenceAboveTheTargetEndsTheUpdateEarly) {
  PpoConfig config = small_config();
  config.learning_rate = 0.05;
  config.target_kl = 1e-3;
  const auto agent = make_agent("CartPole-v1", config, true);
  const TrainStats stats = agent->train(1, 1e9);
  EXPECT_GT(stats.approx_kl, 0.0);
  EXPECT_TRUE(std::isfinite(stats.value_loss));
}

TEST(CudaTrainer, ARolloutThatWasNotFiniteLeavesNothingBehind) {
  const PpoConfig config = small_config();
  const auto agent = make_agent("Pendulum-v1", config, true);
  const std::vector<float> good = params_of(*agent);
  // Means and standard deviations that are infinite: half of the actions are NaN, and so become the envs.
  agent->set_params(std::vector<float>(good.size(), 3e38F));
  EXPECT_THROW(agent->train(1, 1e9), NonFiniteError);
  agent->set_params(good);
  EXPECT_EQ(agent->train(1, 1e9).env_steps, config.batch_size());
}

TEST(CudaTrainer, KlPenaltyKeepsThePolicyNearTheOneOfSetModel) {
  for (const char* env : {"CartPole-v1", "Pendulum-v1"}) {
    double kl[2] = {};
    for (const bool penalised : {false, true}) {
      PpoConfig config = small_config();
      config.learning_rate = 0.02;
      config.kl_penalty = penalised ? 30.0 : 1e-9;
      const auto agent = make_agent(env, config, true);
      EXPECT_EQ(agent->train(1, 1e9).base_kl, 0.0) << "no base yet";
      agent->set_model(params_of(*agent), agent->moments().in_use());
      agent->train(2 * config.batch_size(), 1e9);
      kl[penalised ? 1 : 0] = agent->train(1, 1e9).base_kl;
    }
    EXPECT_GT(kl[0], 0.01) << env;
    EXPECT_LT(kl[1], 0.2 * kl[0]) << env;
    EXPECT_GT(kl[1], 0.0) << env;
  }
}

TEST(CudaTrainer, CheckpointsHoldThePolicyThatTheKlPenaltyHoldsOnTo) {
  PpoConfig config = small_config();
  config.kl_penalty = 1.0;
  config.activation = Activation::kSilu;
  config.shared_trunk = true;
  const auto first = make_agent("Pendulum-v1", config, true);
  first->set_model(params_of(*first), first->moments().in_use());
  first->train(config.batch_size(), 1e9);
  const auto second = make_agent("Pendulum-v1", config, true);
  second->load(first->save());
  EXPECT_EQ(first->train(1, 1e9).base_kl, second->train(1, 1e9).base_kl);
  EXPECT_EQ(second->save(), first->save());
}

TEST(CudaTrainer, ASharedTrunkOfSiluLearnsCartPole) {
  PpoConfig config;
  config.hidden = {32, 32};
  config.activation = Activation::kSilu;
  config.shared_trunk = true;
  config.num_envs = 16;
  config.rollout_steps = 64;
  config.minibatch_size = 256;
  config.epochs = 8;
  config.learning_rate = 1e-3;
  config.gae_lambda = 0.9;
  const auto agent = make_agent("CartPole-v1", config, true);
  agent->train(20'000, 1e9);
  EXPECT_GT(agent->evaluate(50, 3), 120.0);
}

TEST(CudaTrainer, MoreOptimizerStepsThanCanBeRecordedAreLeftToTheHost) {
  PpoConfig config = small_config();
  config.rollout_steps = 1 << 18;
  config.minibatch_size = 1;
  config.epochs = 1000;  // times 12 * 2^18 minibatches: more than an int holds
  validate(config);
  const auto pool = std::make_shared<ThreadPool>(1);
  const RolloutCollector collector(make_vector_env("CartPole-v1", 12, 1, pool), config);
  const PolicyLayout layout({4, true, 2, config.hidden});
  DeviceModel<HostExecutor> model(std::make_shared<HostExecutor>(), layout);
  EXPECT_EQ(model.make_trainer(config, collector), nullptr);
  config.epochs = 1;
  config.minibatch_size = config.batch_size() / 4;
  EXPECT_NE(model.make_trainer(config, collector), nullptr);
}

TEST(CudaTrainer, AssignedVariantsReachTheDevice) {
  const PpoConfig config = small_config();
  const auto agent = make_agent("MountainCarContinuous-v0", config, true);
  EXPECT_EQ(agent->train(config.batch_size(), 1e9).episodes, 0);
  // With a goal that random pushes of a strong motor reach, episodes end soon.
  const EnvVariant easy{{{"goal_position", -0.3}, {"goal_velocity", -0.07}, {"power", 0.015}}, 0, 100, 12};
  agent->assign_variants(std::vector{easy});
  EXPECT_GT(agent->train(config.batch_size(), 1e9).episodes, 3);
}

}  // namespace
}  // namespace murmur::cuda
