// The sampling kernels: the right distribution, its exact log-probability, the same bytes on every set.

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "murmur/base/rng.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur::kernels {
namespace {

struct Draw {
  std::vector<float> actions, log_probs;
  friend bool operator==(const Draw&, const Draw&) = default;
};

/// uniforms: as many as `Sample` says.
Draw draw_by(const KernelSet& set, const std::vector<float>& policy, std::size_t outputs,
             const std::vector<float>& log_std, const std::vector<float>& uniforms) {
  const std::size_t rows = policy.size() / outputs;
  const bool discrete = log_std.empty();
  std::vector<float> scratch(kHeadScratch * outputs + uniforms.size());
  Draw out{std::vector<float>(discrete ? rows : policy.size()), std::vector<float>(rows)};
  const Sample sample{.rows = rows,
                      .outputs = outputs,
                      .policy = policy.data(),
                      .log_std = log_std.data(),
                      .uniforms = uniforms.data(),
                      .actions = out.actions.data(),
                      .log_probs = out.log_probs.data(),
                      .scratch = scratch.data()};
  discrete ? set.sample_categorical(sample) : set.sample_gaussian(sample);
  return out;
}

Draw draw(const KernelSet& set, const std::vector<float>& policy, std::size_t outputs,
          const std::vector<float>& log_std, std::uint64_t seed) {
  const std::size_t count = log_std.empty() ? policy.size() / outputs : 2 * num_gaussian_pairs(policy.size());
  std::vector<float> uniforms(count);
  Rng rng(seed);
  for (float& u : uniforms) u = rng.uniform();
  return draw_by(set, policy, outputs, log_std, uniforms);
}

std::vector<float> repeat(const std::vector<float>& row, std::size_t times) {
  std::vector<float> rows;
  for (std::size_t i = 0; i < times; ++i) rows.insert(rows.end(), row.begin(), row.end());
  return rows;
}

TEST(SampleCategorical, FrequenciesAndLogProbabilitiesAreThoseOfTheSoftmax) {
  const std::vector<float> logits{1.0F, -0.5F, 3.0F, 0.0F, -30.0F};
  constexpr std::size_t kDraws = 200'000;
  const Draw got = draw(best_kernels(), repeat(logits, kDraws), logits.size(), {}, 1);
  double total = 0.0;
  for (const float z : logits) total += std::exp(static_cast<double>(z));
  std::vector<double> count(logits.size());
  for (std::size_t i = 0; i < kDraws; ++i) {
    const auto choice = static_cast<std::size_t>(got.actions[i]);
    ASSERT_LT(choice, logits.size());
    ++count[choice];
    ASSERT_NEAR(got.log_probs[i], static_cast<double>(logits[choice]) - std::log(total), 2e-6);
  }
  for (std::size_t j = 0; j < logits.size(); ++j) {
    const double p = std::exp(static_cast<double>(logits[j])) / total;
    EXPECT_NEAR(count[j] / kDraws, p, 5.0 * std::sqrt(p / kDraws) + 1e-9) << j;  // five sigma
  }
}

TEST(SampleCategorical, TheEndsOfTheDrawTakeNoChoiceThatIsImpossible) {
  const float no = -200.0F;  // its exponential is 0
  for (const KernelSet* set : available_kernels()) {
    for (const float end : {0.0F, 1.0F - 0x1p-24F}) {
      EXPECT_EQ(draw_by(*set, {no, 0.0F, 0.0F, no}, 2, {}, {end, end}).actions,
                (std::vector<float>{1.0F, 0.0F}));
      EXPECT_EQ(draw_by(*set, {no, no, 0.0F}, 3, {}, {end}).actions, (std::vector<float>{2.0F})) << set->name;
    }
  }
}

TEST(SampleCategorical, OneChoiceIsCertain) {
  const Draw got = draw(best_kernels(), {5.0F, -7.0F, 0.0F}, 1, {}, 2);
  EXPECT_EQ(got.actions, std::vector<float>(3, 0.0F));
  EXPECT_EQ(got.log_probs, std::vector<float>(3, 0.0F));
}

TEST(SampleGaussian, MomentsTailsAndLogProbabilitiesAreThoseOfTheNormal) {
  const std::vector<float> mean{2.0F, -1.0F, 0.0F}, log_std{0.5F, -2.0F, 0.0F};
  constexpr std::size_t kDraws = 100'001;  // not a multiple of anything
  const Draw got = draw(best_kernels(), repeat(mean, kDraws), 3, log_std, 3);
  std::vector<double> sums(3), squares(3), fourths(3);
  double cross = 0.0;
  for (std::size_t i = 0; i < kDraws; ++i) {
    double expected = 0.0;
    double z[3];
    for (std::size_t j = 0; j < 3; ++j) {
      const double std = std::exp(static_cast<double>(log_std[j]));
      z[j] = (static_cast<double>(got.actions[3 * i + j]) - static_cast<double>(mean[j])) / std;
      sums[j] += z[j];
      squares[j] += z[j] * z[j];
      fourths[j] += z[j] * z[j] * z[j] * z[j];
      expected -= 0.5 * z[j] * z[j] + std::log(std) + 0.5 * std::log(2.0 * std::numbers::pi);
    }
    cross += z[0] * z[1];
    ASSERT_NEAR(got.log_probs[i], expected, 2e-5 * (1.0 + std::abs(expected)));
  }
  const double sigma = 1.0 / std::sqrt(static_cast<double>(kDraws));
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(sums[j] / kDraws, 0.0, 5.0 * sigma);
    EXPECT_NEAR(squares[j] / kDraws, 1.0, 5.0 * std::sqrt(2.0) * sigma);
    EXPECT_NEAR(fourths[j] / kDraws, 3.0, 5.0 * std::sqrt(96.0) * sigma);
  }
  EXPECT_NEAR(cross / kDraws, 0.0, 5.0 * sigma);
}

TEST(SampleGaussian, BothNumbersOfAPairOfDrawsAreIndependent) {
  constexpr std::size_t kPairs = 64'000;
  static_assert(num_gaussian_pairs(2 * kPairs) == kPairs, "number i and number kPairs + i come of one pair");
  const std::vector<float> z = draw(best_kernels(), std::vector<float>(2 * kPairs), 1, {0.0F}, 4).actions;
  double product = 0.0, squares = 0.0;
  for (std::size_t i = 0; i < kPairs; ++i) {
    const auto a = static_cast<double>(z[i]), b = static_cast<double>(z[kPairs + i]);
    product += a * b;
    squares += (a * a - 1.0) * (b * b - 1.0);
  }
  EXPECT_NEAR(product / kPairs, 0.0, 5.0 / std::sqrt(kPairs));  // five sigma, whose squares' product has 2
  EXPECT_NEAR(squares / kPairs, 0.0, 10.0 / std::sqrt(kPairs));
}

TEST(Sampling, EverySetGivesTheSameBytes) {
  Rng rng(4);
  for (const std::size_t outputs : {1, 2, 3, 7}) {
    for (const std::size_t rows : {1, 8, 16, 37}) {
      std::vector<float> policy(rows * outputs), log_std(outputs);
      for (float& x : policy) x = rng.uniform(-3.0F, 3.0F);
      for (float& x : log_std) x = rng.uniform(-1.0F, 1.0F);
      for (const KernelSet* set : available_kernels()) {
        SCOPED_TRACE(std::string(set->name));
        EXPECT_EQ(draw(*set, policy, outputs, {}, 5), draw(best_kernels(), policy, outputs, {}, 5));
        EXPECT_EQ(draw(*set, policy, outputs, log_std, 5), draw(best_kernels(), policy, outputs, log_std, 5));
      }
    }
  }
}

}  // namespace
}  // namespace murmur::kernels
