// What the update hands to a back end: which samples, how often, with which settings.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "murmur/agents/ppo_update.hpp"

namespace murmur {
namespace {

/// Computes nothing and remembers what it was asked for.
class RecordingBackend final : public PpoBackend {
 public:
  [[nodiscard]] std::string_view name() const noexcept override { return "recording"; }
  void get_params(std::span<float> /*params*/) const override {}
  void set_params(std::span<const float> /*params*/) override {}
  [[nodiscard]] AdamState optimizer_state() const override { return {}; }
  void set_optimizer_state(const AdamState& /*state*/) override {}
  void enter() override {}
  void act(std::span<const float> /*observations*/, std::span<float> /*policy*/) override {}
  void log_std(std::span<float> /*log_std*/) const override {}
  void value(std::span<const float> /*observations*/, std::span<float> /*values*/) override {}
  PpoLossStats step(const PpoBatch& batch, const PpoLossSettings& loss, const AdamSettings& adam,
                    double /*max_kl*/) override {
    samples.emplace_back(batch.returns.begin(), batch.returns.end());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      // Every array of a sample is its number, in columns of its own.
      const float id = batch.returns[i];
      EXPECT_EQ(batch.observations[2 * i], id);
      EXPECT_EQ(batch.observations[2 * i + 1], id + 0.5F);
      EXPECT_EQ(batch.actions[i], id);
      EXPECT_EQ(batch.log_probs[i], id);
      EXPECT_EQ(batch.advantages[i], id);
      EXPECT_EQ(batch.values[i], id);
      if (!batch.base_policy.empty()) {
        EXPECT_EQ(batch.base_policy.size(), 3 * batch.size());
        EXPECT_EQ(batch.base_policy[3 * i + 2], 3.0F * id + 2.0F);
      }
    }
    has_base.push_back(!batch.base_policy.empty());
    last_loss = loss;
    last_adam = adam;
    return {.entropy = static_cast<double>(samples.size()), .approx_kl = kl};
  }

  std::vector<std::vector<float>> samples;  // of each minibatch
  std::vector<bool> has_base;
  PpoLossSettings last_loss;
  AdamSettings last_adam;
  double kl = 0.0;
};

struct Fixture {
  Fixture() : rollout(shape) {
    config.num_envs = 4;
    config.rollout_steps = 6;
    config.minibatch_size = 8;
    config.epochs = 3;
    config.schedule_env_steps = 100;
    for (std::size_t i = 0; i < 24; ++i) {
      const auto id = static_cast<float>(i);
      rollout.observations[2 * i] = id;
      rollout.observations[2 * i + 1] = id + 0.5F;
      for (auto* array : {&rollout.actions, &rollout.log_probs, &rollout.advantages, &rollout.returns})
        (*array)[i] = id;
      rollout.values[i] = id;
      for (std::size_t k = 0; k < 3; ++k) base.push_back(3.0F * id + static_cast<float>(k));
    }
  }
  UpdateStats run(std::int64_t env_steps = 0, std::uint64_t seed = 1) {
    PpoUpdate update(config, shape);
    Rng rng(seed);
    return update.run(backend, rollout, {base, {}}, env_steps, rng);
  }

  RolloutShape shape{6, 4, 2, 1};
  PpoConfig config;
  RolloutBuffer rollout;
  std::vector<float> base;  // [24, 3]
  RecordingBackend backend;
};

TEST(PpoUpdate, EveryEpochTakesEverySampleOnceInAnotherOrder) {
  Fixture f;
  EXPECT_EQ(f.run().optimizer_steps, 9);
  ASSERT_EQ(f.backend.samples.size(), 9U);
  std::set<std::vector<float>> orders;
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<float> order;
    for (std::size_t b = 0; b < 3; ++b) {
      const std::vector<float>& part = f.backend.samples[3 * epoch + b];
      EXPECT_EQ(part.size(), 8U);
      order.insert(order.end(), part.begin(), part.end());
    }
    orders.insert(order);
    std::ranges::sort(order);
    for (std::size_t i = 0; i < 24; ++i) EXPECT_EQ(order[i], static_cast<float>(i));
  }
  EXPECT_EQ(orders.size(), 3U);
}

TEST(PpoUpdate, EverySampleMayComeAnywhere) {
  Fixture f;
  f.config.epochs = 1;
  f.config.minibatch_size = 24;
  std::vector<int> firsts(24), lasts(24);
  int in_place = 0;
  for (std::uint64_t seed = 0; seed < 2400; ++seed) {
    f.backend.samples.clear();
    f.run(0, seed);
    const std::vector<float>& order = f.backend.samples[0];
    ++firsts[static_cast<std::size_t>(order.front())];
    ++lasts[static_cast<std::size_t>(order.back())];
    for (std::size_t i = 0; i < 24; ++i) in_place += order[i] == static_cast<float>(i) ? 1 : 0;
  }
  // 100 of each are expected, five deviations are 50; of samples where they were, one in every order.
  for (const int count : firsts) EXPECT_NEAR(count, 100, 50);
  for (const int count : lasts) EXPECT_NEAR(count, 100, 50);
  EXPECT_NEAR(in_place, 2400, 250);
}

TEST(PpoUpdate, BaseOutputsComeWithTheirSamplesOrNotAtAll) {
  Fixture with;
  with.run();
  EXPECT_TRUE(std::ranges::all_of(with.backend.has_base, std::identity{}));
  Fixture without;
  without.base.clear();
  without.run();
  EXPECT_TRUE(std::ranges::none_of(without.backend.has_base, std::identity{}));
}

TEST(PpoUpdate, SchedulesAndCoefficientsReachTheBackEnd) {
  Fixture f;
  f.config.lr_schedule = Schedule::kLinear;
  f.config.clip_schedule = Schedule::kLinear;
  f.config.kl_penalty = 0.25;
  f.config.value_clip_range = 0.75;
  f.run(25);
  EXPECT_FLOAT_EQ(f.backend.last_loss.clip_range, 0.15F);
  EXPECT_FLOAT_EQ(f.backend.last_loss.value_clip_range, 0.75F);
  EXPECT_FLOAT_EQ(f.backend.last_loss.kl_penalty, 0.25F);
  EXPECT_DOUBLE_EQ(f.backend.last_adam.learning_rate, 0.75 * f.config.learning_rate);
}

TEST(PpoUpdate, StatsAreMeansOverTheLastEpoch) {
  Fixture f;
  EXPECT_DOUBLE_EQ(f.run().last_epoch.entropy, 8.0);  // of minibatches 7, 8 and 9
}

TEST(PpoUpdate, ExplainedVarianceIsTheShareOfTheReturnsSpreadThatValuesTell) {
  Fixture f;
  EXPECT_DOUBLE_EQ(f.run().explained_variance, 1.0);  // values are the returns
  // An offset costs nothing, and errors of a twelfth of the returns' variance, (24^2 - 1) / 12, a twelfth.
  const double returns_variance = (24.0 * 24.0 - 1.0) / 12.0;
  const auto off = static_cast<float>(std::sqrt(returns_variance / 12.0));
  f.config.epochs = 0;  // the back end, which checks the samples, need not see these
  for (std::size_t i = 0; i < 24; ++i)
    f.rollout.values[i] = f.rollout.returns[i] + 100.0F + (i % 2 == 0 ? off : -off);
  EXPECT_NEAR(f.run().explained_variance, 1.0 - 1.0 / 12.0, 1e-5);
  for (std::size_t i = 0; i < 24; ++i) f.rollout.values[i] = -f.rollout.returns[i];
  EXPECT_NEAR(f.run().explained_variance, 1.0 - 4.0, 1e-9) << "worse than none at all";
  f.rollout.values.back() = 1e9F;  // of what follows the rollout: no sample
  EXPECT_NEAR(f.run().explained_variance, 1.0 - 4.0, 1e-9);
  std::ranges::fill(f.rollout.returns, 5.0F);
  EXPECT_TRUE(std::isnan(f.run().explained_variance));
}

TEST(PpoUpdate, AMinibatchBeyondTheTargetEndsTheUpdate) {
  Fixture f;
  f.config.target_kl = 0.01;
  f.backend.kl = 0.0149;  // the limit is 1.5 times the target
  EXPECT_FALSE(f.run().stopped_early);
  f.backend.kl = 0.0151;
  f.backend.samples.clear();
  const UpdateStats stats = f.run();
  EXPECT_TRUE(stats.stopped_early);
  EXPECT_EQ(stats.optimizer_steps, 0);
  EXPECT_EQ(f.backend.samples.size(), 1U);
}

}  // namespace
}  // namespace murmur
