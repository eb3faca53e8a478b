#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {
namespace {

EnvVariant pole(double length, std::uint64_t start, std::uint64_t end, std::size_t count) {
  return {.params = {{"length", length}}, .seed_start = start, .seed_end = end, .count = count};
}

std::unique_ptr<VectorEnv> cartpoles(std::size_t n) {
  return make_vector_env("CartPole-v1", n, 1, std::make_shared<ThreadPool>(1));
}

std::vector<float> observations_of(const VectorEnv& env) {
  std::vector<float> observations(env.num_envs() * env.spec().obs_dim);
  env.observe(observations);
  return observations;
}

TEST(EnvVariants, LongerPolesMoveAsTheirOwnPhysicsSays) {
  const auto env = cartpoles(2);
  const std::vector<EnvVariant> variants = {pole(0.5, 0, 9, 1), pole(2.0, 0, 9, 1)};
  env->assign_variants(variants);
  const std::vector<float> state = {0.0F, 0.0F, 0.1F, 0.0F}, actions = {1.0F, 1.0F};
  env->set_state(0, state);
  env->set_state(1, state);
  StepBuffers out(2, 4);
  env->step(actions, out.output());
  EXPECT_NE(out.observations[3], out.observations[7]);
  EXPECT_GT(std::abs(out.observations[3]), std::abs(out.observations[7]))
      << "a longer pole turns more slowly";
}

TEST(EnvVariants, UnchangedVariantsKeepTheirEpisodes) {
  const auto env = cartpoles(6);
  const std::vector<EnvVariant> before = {pole(0.5, 0, 100, 3), pole(1.0, 0, 100, 3)};
  EXPECT_EQ(env->assign_variants(before).size(), 6U);
  StepBuffers out(6, 4);
  env->step(std::vector<float>(6, 1.0F), out.output());
  const auto seen = observations_of(*env);

  EXPECT_TRUE(env->assign_variants(before).empty());
  EXPECT_EQ(observations_of(*env), seen);

  // Reordered, one pole-1.0 env fewer, one new variant: exactly one env restarts.
  const std::vector<EnvVariant> after = {pole(1.0, 0, 100, 2), pole(0.7, 0, 100, 1), pole(0.5, 0, 100, 3)};
  EXPECT_EQ(env->assign_variants(after), (std::vector<std::size_t>{5}));
  const auto now = observations_of(*env);
  EXPECT_TRUE(std::ranges::equal(std::span(now).first(20), std::span(seen).first(20)));
  const std::vector<std::int32_t> expected = {2, 2, 2, 0, 0, 1};
  EXPECT_TRUE(std::ranges::equal(env->variant_of(), expected));
}

TEST(EnvVariants, AnotherSeedRangeIsAnotherVariant) {
  const auto env = cartpoles(2);
  const std::vector<EnvVariant> a = {pole(0.5, 0, 10, 2)}, b = {pole(0.5, 10, 20, 2)};
  env->assign_variants(a);
  EXPECT_EQ(env->assign_variants(b).size(), 2U);
}

TEST(EnvVariants, EpisodesComeFromTheSeedRangeAlone) {
  const auto first_states = [](std::uint64_t start, std::uint64_t end) {
    const auto env = cartpoles(64);
    const std::vector<EnvVariant> variants = {pole(0.5, start, end, 64)};
    env->assign_variants(variants);
    std::set<std::vector<float>> states;
    std::vector<float> state(4);
    for (std::size_t i = 0; i < 64; ++i) {
      env->get_state(i, state);
      states.insert(state);
    }
    return states;
  };
  EXPECT_EQ(first_states(7, 8).size(), 1U) << "one seed is one episode";
  const auto ten = first_states(100, 110);
  EXPECT_LE(ten.size(), 10U);
  EXPECT_GE(ten.size(), 8U);
  EXPECT_TRUE(ten.contains(*first_states(104, 105).begin())) << "the seed alone fixes the episode";
  EXPECT_EQ(first_states(~0ULL - 1, ~0ULL).size(), 1U);
}

TEST(EnvVariants, BadListsAreNamedAndChangeNothing) {
  const auto env = cartpoles(4);
  const auto before = observations_of(*env);
  const auto assign = [&](std::vector<EnvVariant> variants) { return env->assign_variants(variants); };
  EXPECT_MESSAGE(assign({}), std::invalid_argument, "must not be empty");
  EXPECT_MESSAGE(assign({pole(0.5, 0, 1, 3)}), std::invalid_argument, "counts needs 4 elements, got 3");
  EXPECT_MESSAGE(assign({pole(0.5, 0, 1, ~0ULL), pole(0.5, 0, 1, 5)}), std::invalid_argument, "wants");
  EXPECT_MESSAGE(assign({pole(0.5, 5, 5, 4)}), std::invalid_argument, "seed_start must be below seed_end");
  EXPECT_MESSAGE(assign({pole(-1.0, 0, 1, 4)}), std::invalid_argument, "'length'");
  EXPECT_MESSAGE(assign({{.params = {{"lenght", 1.0}}, .count = 4}}), std::invalid_argument,
                 "nearest is 'length'");
  EXPECT_EQ(observations_of(*env), before);
}

TEST(EnvVariants, AVariantMayHaveNoEnvs) {
  const auto env = cartpoles(2);
  const std::vector<EnvVariant> variants = {pole(0.5, 0, 1, 0), pole(1.0, 0, 1, 2)};
  env->assign_variants(variants);
  EXPECT_TRUE(std::ranges::all_of(env->variant_of(), [](std::int32_t v) { return v == 1; }));
}

TEST(EnvVariants, SurviveSaveAndLoad) {
  const auto env = cartpoles(4), copy = cartpoles(4);
  const std::vector<EnvVariant> variants = {pole(0.5, 0, 50, 1), pole(2.0, 3, 9, 3)};
  env->assign_variants(variants);
  BlobWriter writer({"MURMTEST", 1});
  env->save(writer);
  const auto bytes = std::move(writer).finish();
  BlobReader reader(bytes, {"MURMTEST", 1});
  copy->load(reader);
  EXPECT_TRUE(copy->assign_variants(variants).empty()) << "the loaded batch knows what it is";
  StepBuffers a(4, 4), b(4, 4);
  for (int t = 0; t < 300; ++t) {
    env->step(std::vector<float>(4, static_cast<float>(t % 2)), a.output());
    copy->step(std::vector<float>(4, static_cast<float>(t % 2)), b.output());
    ASSERT_EQ(a.observations, b.observations) << "step " << t;
  }
}

}  // namespace
}  // namespace murmur
