#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/rollout/running_moments.hpp"

namespace murmur {
namespace {

std::vector<float> random_rows(std::size_t count, Rng& rng, float offset = 0.0F) {
  std::vector<float> rows(count);
  for (float& x : rows) x = offset + rng.uniform(-3.0F, 5.0F);
  return rows;
}

struct Moments {
  double mean, m2;
};

// Two passes over everything, in long double.
Moments two_pass(const std::vector<float>& rows, std::size_t width, std::size_t k) {
  long double sum = 0.0L, m2 = 0.0L;
  const auto count = static_cast<long double>(rows.size() / width);
  for (std::size_t i = k; i < rows.size(); i += width) sum += static_cast<long double>(rows[i]);
  for (std::size_t i = k; i < rows.size(); i += width) {
    const long double deviation = static_cast<long double>(rows[i]) - sum / count;
    m2 += deviation * deviation;
  }
  return {static_cast<double>(sum / count), static_cast<double>(m2)};
}

TEST(RunningMoments, ManyBatchesEqualTwoPassesOverAll) {
  Rng rng(1);
  constexpr std::size_t kWidth = 3;
  RunningMoments moments(kWidth);
  std::vector<float> all;
  for (int batch = 0; batch < 300; ++batch) {
    const auto rows = random_rows(kWidth * (1 + rng.below(50)), rng, 100.0F);
    moments.update(rows, kWidth);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  for (std::size_t k = 0; k < kWidth; ++k) {
    const Moments expected = two_pass(all, kWidth, k);
    EXPECT_EQ(moments.count()[k], static_cast<double>(all.size() / kWidth));
    EXPECT_NEAR(moments.mean()[k], expected.mean, 1e-12 * std::abs(expected.mean));
    EXPECT_NEAR(moments.m2()[k], expected.m2, 1e-10 * expected.m2);
    EXPECT_NEAR(moments.variance(k), expected.m2 / moments.count()[k], 1e-9);
  }
}

TEST(RunningMoments, SurvivesALargeOffset) {
  // The textbook formula E[x^2] - E[x]^2 loses everything here.
  RunningMoments moments(1);
  const std::vector<float> rows = {16777215.0F, 16777216.0F, 16777214.0F, 16777215.0F};
  moments.update(rows, 1);
  EXPECT_DOUBLE_EQ(moments.variance(0), 0.5);
}

TEST(RunningMoments, MergeOfPartsEqualsTheWhole) {
  Rng rng(2);
  const auto a = random_rows(2 * 17, rng), b = random_rows(2 * 400, rng, 9.0F);
  RunningMoments left(2), right(2);
  left.update(a, 2);
  right.update(b, 2);
  left.merge(right);
  std::vector<float> all = a;
  all.insert(all.end(), b.begin(), b.end());
  for (std::size_t k = 0; k < 2; ++k) {
    const Moments expected = two_pass(all, 2, k);
    EXPECT_NEAR(left.mean()[k], expected.mean, 1e-12);
    EXPECT_NEAR(left.m2()[k], expected.m2, 1e-9);
  }
}

TEST(RunningMoments, MergingNothingChangesNoBit) {
  Rng rng(3);
  RunningMoments moments(2), empty(2);
  moments.update(random_rows(20, rng), 2);
  const std::vector<double> before(moments.m2().begin(), moments.m2().end());
  moments.merge(empty);
  moments.update({}, 2);
  EXPECT_EQ(before, std::vector<double>(moments.m2().begin(), moments.m2().end()));
  empty.merge(moments);
  EXPECT_EQ(empty.mean()[0], moments.mean()[0]);
  EXPECT_EQ(empty.m2()[1], moments.m2()[1]);
}

TEST(RunningMoments, QuantitiesCountForThemselves) {
  RunningMoments moments(3);
  moments.update(std::vector<float>{1.0F, 2.0F, 3.0F, 4.0F}, 2);  // two rows of observations
  moments.update(std::vector<float>{7.0F}, 1, 2);                 // one return
  EXPECT_EQ(moments.count()[0], 2.0);
  EXPECT_EQ(moments.mean()[1], 3.0);
  EXPECT_EQ(moments.count()[2], 1.0);
  EXPECT_EQ(moments.mean()[2], 7.0);
  EXPECT_EQ(RunningMoments(3).variance(0), 1.0) << "nothing seen";
}

TEST(RunningMoments, BadStatisticsAreNamed) {
  using V = std::vector<double>;
  const auto make = [](const V& count, const V& mean, const V& m2) {
    return RunningMoments(count, mean, m2);
  };
  EXPECT_NO_THROW(make({2, 3}, {0, 0}, {1, 1}));
  EXPECT_MESSAGE(make({2, 3}, {0}, {1, 1}), std::invalid_argument, "mean needs 2");
  EXPECT_MESSAGE(make({2, -3}, {0, 0}, {1, 1}), std::invalid_argument, "count[1] is -3");
  EXPECT_MESSAGE(make({2, 3}, {0, 0}, {-1, 1}), std::invalid_argument, "m2[0] is -1");
  EXPECT_MESSAGE(make({2, 3}, {0, std::numeric_limits<double>::infinity()}, {1, 1}), std::invalid_argument,
                 "mean[1] is inf");
  EXPECT_MESSAGE(make({}, {}, {}), std::invalid_argument, "at least one");
  RunningMoments two(2);
  EXPECT_THROW(two.merge(RunningMoments(3)), std::invalid_argument);
}

TEST(Normalizer, StandardisesAndClips) {
  Rng rng(4);
  const auto rows = random_rows(2 * 1000, rng, 50.0F);
  RunningMoments moments(3);  // one more than the normaliser needs
  moments.update(rows, 2);
  Normalizer normalizer(2);
  normalizer.refresh(moments);
  std::vector<float> out(rows.size());
  normalizer.apply(rows, out);
  for (std::size_t k = 0; k < 2; ++k) {
    const Moments result = two_pass(out, 2, k);
    EXPECT_NEAR(result.mean, 0.0, 1e-4);
    EXPECT_NEAR(result.m2 / 1000.0, 1.0, 1e-4);
  }
  const std::vector<float> far = {1e6F, -1e6F};
  std::vector<float> clipped(2);
  normalizer.apply(far, clipped);
  EXPECT_EQ(clipped, (std::vector<float>{10.0F, -10.0F}));
}

TEST(Normalizer, IsTheIdentityBeforeAnythingWasSeenAndAllowsInPlace) {
  Normalizer normalizer(2);
  std::vector<float> rows = {1.0F, -2.0F, 3.0F, 11.0F};
  normalizer.apply(rows, rows);
  EXPECT_EQ(rows, (std::vector<float>{1.0F, -2.0F, 3.0F, 10.0F}));
  normalizer.refresh(RunningMoments(2));
  normalizer.apply(rows, rows);
  EXPECT_FLOAT_EQ(rows[1], -2.0F);
}

TEST(Normalizer, ConstantQuantityStaysFiniteAndNaNStaysVisible) {
  RunningMoments moments(1);
  moments.update(std::vector<float>(10, 4.0F), 1);
  Normalizer normalizer(1);
  normalizer.refresh(moments);
  std::vector<float> rows = {4.0F, 5.0F, std::nanf("")};
  normalizer.apply(rows, rows);
  EXPECT_EQ(rows[0], 0.0F);
  EXPECT_EQ(rows[1], 10.0F);
  EXPECT_TRUE(std::isnan(rows[2]));
  EXPECT_THROW(Normalizer(2).refresh(moments), std::invalid_argument);
}

TEST(Normalizer, StatisticsBeyondAFloatLeaveObservationsFinite) {
  constexpr float kUnbounded = std::numeric_limits<float>::infinity();
  for (const double mean : {1e100, -1e100}) {
    for (const double m2 : {0.0, 1e100}) {
      for (const float clip : {10.0F, kUnbounded}) {
        Normalizer normalizer(1, clip);
        normalizer.refresh(
            RunningMoments(std::vector<double>{1.0}, std::vector<double>{mean}, std::vector<double>{m2}));
        std::vector<float> rows = {4.0F, -1e20F};
        normalizer.apply(rows, rows);
        for (const float value : rows) EXPECT_TRUE(std::isfinite(value)) << mean << " " << m2 << " " << clip;
      }
    }
  }
}

}  // namespace
}  // namespace murmur
