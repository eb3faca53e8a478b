// New episodes are begun many at once: each as if it were the only one, on every instruction set.

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "example_env.hpp"
#include "murmur/envs/batched_env.hpp"
#include "murmur/envs/flag_bits.hpp"

namespace murmur {
namespace {

// A puck that nothing stops, begun where a constant says: the resets of our other envs look at none.
struct Runner : Puck {
  static State reset(const Constants& constants, Rng& rng) noexcept {
    return {constants[1] * rng.uniform(), rng.uniform(0.5F, 1.5F)};
  }
  static StepOutcome step(const Constants&, State& state, const Action& action) noexcept {
    state[0] += state[1] * action[0];
    return {1.0F, state[0] > kEdge};
  }
};

static_assert(Environment<Runner>);

EnvVariant runner(double friction, std::uint64_t seed, std::size_t count) {
  return {.params = {{"friction", friction}}, .seed_start = seed, .seed_end = seed + 1, .count = count};
}

TEST(EnvRestarts, BeginAsTheirSeedAndVariantSay) {
  constexpr std::size_t kEnvs = 333;  // no multiple of anything that is done at once
  const std::vector<EnvVariant> variants = {runner(0.0, 11, 100), runner(1.5, 12, 200), runner(2.5, 13, 33)};
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
          const auto friction = static_cast<float>(asked.params[0].second);
          expected = Runner::reset({0.0F, friction, 0.0F}, episode);
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

TEST(FlagBits, StayBelowTheirNumberWhateverTheBytesAre) {
  Rng rng(3);
  std::vector<std::uint8_t> a(64), b(64, 0);
  for (std::size_t n = 1; n < 64; ++n) {
    for (std::uint8_t& flag : a) flag = static_cast<std::uint8_t>(rng.below(256));
    EXPECT_EQ(flag_bits(a.data(), b.data(), n) >> n, 0U) << n << " flags";
  }
}

}  // namespace
}  // namespace murmur
