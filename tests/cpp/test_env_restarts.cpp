// New episodes are begun many at once: each as if it were the only one, on every instruction set.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "murmur/envs/batched_env.hpp"
#include "murmur/envs/flag_bits.hpp"

namespace murmur {
namespace {

// Runs until it is 5 m out, from where its variant begins. Its resets look at the constants, unlike
// CartPole's.
struct Runner {
  using State = std::array<float, 2>;
  using Observation = std::array<float, 2>;
  using Action = std::array<float, 1>;
  using Constants = std::array<float, 2>;

  static constexpr std::array kActionLow = {0.0F};
  static constexpr std::array kActionHigh = {1.0F};
  static constexpr std::array kParams = {
      ParamSpec{"start", 0.0, -10.0, 3.0, "where the start line is, m"},
      ParamSpec{"spread", 1.0, 0.0, 2.0, "how far in front of it episodes begin, m"},
  };
  static constexpr EnvSpec kSpec = {
      .name = "Runner-v0",
      .obs_dim = 2,
      .state_dim = 2,
      .action_kind = ActionKind::kContinuous,
      .action_dim = 1,
      .num_actions = 0,
      .action_low = kActionLow,
      .action_high = kActionHigh,
      .max_episode_steps = 7,
      .params = kParams,
  };

  static Constants derive(std::span<const double> params) {
    return {static_cast<float>(params[0]), static_cast<float>(params[1])};
  }
  static State reset(const Constants& constants, Rng& rng) noexcept {
    return {constants[0] + constants[1] * rng.uniform(), rng.uniform(0.5F, 1.5F)};
  }
  static StepOutcome step(const Constants&, State& state, const Action& action) noexcept {
    state[0] += state[1] * action[0];
    return {1.0F, state[0] > 5.0F};
  }
  static Observation observe(const Constants&, const State& state) noexcept { return state; }
};

static_assert(Environment<Runner>);

EnvVariant runner(double start, double spread, std::uint64_t seed, std::size_t count) {
  return {.params = {{"start", start}, {"spread", spread}},
          .seed_start = seed,
          .seed_end = seed + 1,
          .count = count};
}

TEST(EnvRestarts, BeginAsTheirSeedAndVariantSay) {
  constexpr std::size_t kEnvs = 333;  // no multiple of anything that is done at once
  const std::vector<EnvVariant> variants = {runner(0.0, 1.0, 11, 100), runner(2.5, 2.0, 12, 200),
                                            runner(-9.0, 0.0, 13, 33)};
  for (const InstructionSet set : supported_instruction_sets()) {
    BatchedEnv<Runner> env(kEnvs, 5, std::make_shared<ThreadPool>(1), set);
    env.assign_variants(variants);
    StepBuffers out(kEnvs, 2);
    std::vector<float> actions(kEnvs), before(kEnvs * 2);
    Rng rng(1);
    std::array<std::size_t, 3> restarts{};
    for (int t = 0; t < 30; ++t) {
      for (float& action : actions) action = rng.uniform(0.0F, 2.0F);
      env.observe(before);
      env.step(actions, out.output());
      for (std::size_t i = 0; i < kEnvs; ++i) {
        const auto variant = static_cast<std::size_t>(env.variant_of()[i]);
        Runner::State expected = {before[2 * i], before[2 * i + 1]};
        Runner::step({}, expected, {actions[i]});
        if (out.terminated[i] | out.truncated[i]) {
          EXPECT_EQ(out.final_observations[2 * i], expected[0]);
          const EnvVariant& asked = variants[variant];
          Rng episode(asked.seed_start);
          expected = Runner::reset(
              {static_cast<float>(asked.params[0].second), static_cast<float>(asked.params[1].second)},
              episode);
          restarts[variant] += 1;
        }
        EXPECT_EQ(out.observations[2 * i], expected[0]) << "env " << i << ", step " << t;
        EXPECT_EQ(out.observations[2 * i + 1], expected[1]) << "env " << i << ", step " << t;
      }
    }
    for (const std::size_t count : restarts) EXPECT_GT(count, 33U) << "too few for the test to show anything";
  }
}

TEST(FlagBits, AreTheFlagsOfBothInTheirOrder) {
  Rng rng(2);
  for (std::size_t n = 1; n <= 64; ++n) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::vector<std::uint8_t> a(n), b(n);
      std::uint64_t expected = 0;
      for (std::size_t k = 0; k < n; ++k) {
        a[k] = rng.below(4) == 0 ? 1 : 0;
        b[k] = rng.below(8) == 0 ? 1 : 0;
        if ((a[k] | b[k]) != 0) expected |= std::uint64_t{1} << k;
      }
      EXPECT_EQ(flag_bits(a.data(), b.data(), n), expected) << n << " flags";
    }
  }
  const std::vector<std::uint8_t> all(64, 1);
  EXPECT_EQ(flag_bits(all.data(), all.data(), 64), ~std::uint64_t{0});
}

}  // namespace
}  // namespace murmur
