// The arithmetic of aggregation on every instruction set that this machine has, against plain loops of our
// own, and against bytes recorded once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "murmur/aggregation/aggregation.hpp"
#include "murmur/base/hash.hpp"

namespace murmur {
namespace {

using Rows = std::vector<std::vector<float>>;

Rows random_rows(std::size_t count, std::size_t size, unsigned seed) {
  std::mt19937 rng(seed);
  Rows rows(count, std::vector<float>(size));
  for (auto& row : rows) {
    for (float& value : row) {
      const float fraction = static_cast<float>(rng() >> 8) / 16777216.0F - 0.5F;
      value = std::ldexp(fraction, static_cast<int>(rng() % 40) - 30);
    }
  }
  return rows;
}

std::vector<Delta> spans(const Rows& rows) {
  return {rows.begin(), rows.end()};
}

template <class T>
std::uint64_t digest(const std::vector<T>& values) {
  Fnv1a hasher;
  hasher.update_values(std::span<const T>(values));
  return hasher.digest();
}

std::vector<double> falling_shares(std::size_t count) {
  std::vector<double> shares;
  double total = 0.0;
  for (std::size_t k = 0; k < count; ++k) total += static_cast<double>(count - k);
  for (std::size_t k = 0; k < count; ++k) shares.push_back(static_cast<double>(count - k) / total);
  return shares;
}

struct Setting {
  InstructionSet set;
  int threads;
};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const InstructionSet set : supported_instruction_sets()) {
    for (const int threads : {1, 2, 5}) all.push_back({set, threads});
  }
  return all;
}

class AggregationTest : public testing::TestWithParam<Setting> {
 protected:
  Aggregation kernels_{std::make_shared<ThreadPool>(GetParam().threads), GetParam().set};
};

INSTANTIATE_TEST_SUITE_P(EverySet, AggregationTest, testing::ValuesIn(settings()), [](const auto& setting) {
  return std::string(to_text(setting.param.set)) + "_" + std::to_string(setting.param.threads) + "_threads";
});

TEST_P(AggregationTest, WeightedSumEqualsRoundingEachProductByItself) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{1023}, std::size_t{70001}}) {
    const Rows rows = random_rows(9, size, 1);
    const auto shares = falling_shares(rows.size());
    std::vector<float> out(size);
    kernels_.weighted_sum(spans(rows), shares, out);
    for (std::size_t i = 0; i < size; ++i) {
      std::int64_t total = 0;
      for (std::size_t k = 0; k < rows.size(); ++k) {
        total += std::llrint(static_cast<double>(rows[k][i]) * (shares[k] * 0x1p35));
      }
      ASSERT_EQ(out[i], static_cast<float>(static_cast<double>(total) * 0x1p-35)) << i;
    }
  }
}

TEST_P(AggregationTest, OrderOfDeltasChangesNoBit) {
  Rows rows = random_rows(11, 3001, 2);
  auto shares = falling_shares(rows.size());
  std::vector<float> first(3001), second(3001);
  kernels_.weighted_sum(spans(rows), shares, first);
  std::reverse(rows.begin(), rows.end());
  std::reverse(shares.begin(), shares.end());
  kernels_.weighted_sum(spans(rows), shares, second);
  EXPECT_EQ(0, std::memcmp(first.data(), second.data(), first.size() * sizeof(float)));
}

TEST_P(AggregationTest, LargestSumsDoNotOverflow) {
  const Rows rows(64, std::vector<float>{32768.0F, -32768.0F, 0.0F, -0.0F});
  std::vector<float> out(4);
  kernels_.weighted_sum(spans(rows), std::vector<double>(64, 1.0 / 64.0), out);
  EXPECT_EQ(out, (std::vector<float>{32768.0F, -32768.0F, 0.0F, 0.0F}));
  EXPECT_FALSE(std::signbit(out[3])) << "minus zero would be another model";
}

TEST_P(AggregationTest, NormIsNearTheLongDoubleSum) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, std::size_t{65536}, std::size_t{1200007}}) {
    const Rows rows = random_rows(1, size, 3);
    long double exact = 0.0L;
    for (const float value : rows[0])
      exact += static_cast<long double>(value) * static_cast<long double>(value);
    const double expected = static_cast<double>(std::sqrt(exact));
    EXPECT_NEAR(kernels_.l2_norm(rows[0]), expected, expected * 1e-12);
  }
  EXPECT_TRUE(
      std::isnan(kernels_.l2_norm(std::vector<float>{1.0F, std::numeric_limits<float>::quiet_NaN()})));
}

TEST_P(AggregationTest, DistancesAreThoseOfEachPairAlone) {
  const Rows rows = random_rows(11, 140003, 4);
  std::vector<double> all(121), pair(4);
  kernels_.squared_distances(spans(rows), all);
  for (std::size_t i = 0; i < 11; ++i) {
    EXPECT_EQ(all[i * 11 + i], 0.0);
    for (std::size_t j = 0; j < i; ++j) {
      kernels_.squared_distances(std::vector<Delta>{rows[i], rows[j]}, pair);
      EXPECT_EQ(all[i * 11 + j], pair[1]);
      EXPECT_EQ(all[j * 11 + i], pair[1]);
    }
  }
}

TEST_P(AggregationTest, DistancesAreNearTheLongDoubleSum) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1023}, std::size_t{1025}, std::size_t{70001}}) {
    const Rows rows = random_rows(5, size, 8);
    std::vector<double> all(25);
    kernels_.squared_distances(spans(rows), all);
    for (std::size_t i = 0; i < 5; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        long double exact = 0.0L;
        for (std::size_t k = 0; k < size; ++k) {
          const long double difference =
              static_cast<long double>(rows[i][k]) - static_cast<long double>(rows[j][k]);
          exact += difference * difference;
        }
        EXPECT_NEAR(all[i * 5 + j], static_cast<double>(exact), static_cast<double>(exact) * 2e-5) << size;
      }
    }
  }
}

TEST_P(AggregationTest, OneHugeDeltaDoesNotDrownTheDistancesOfOthers) {
  Rows rows = random_rows(3, 5000, 9);
  std::vector<double> apart(9), beside(16);
  kernels_.squared_distances(spans(rows), apart);
  rows.push_back(std::vector<float>(5000, 32768.0F));
  kernels_.squared_distances(spans(rows), beside);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) EXPECT_EQ(beside[i * 4 + j], apart[i * 3 + j]);
  }
}

TEST_P(AggregationTest, DistancesOfTheExtremesAreExact) {
  const Rows rows{std::vector<float>(2000, 32768.0F), std::vector<float>(2000, -32768.0F),
                  std::vector<float>(2000, 0.0F)};
  std::vector<double> all(9);
  kernels_.squared_distances(spans(rows), all);
  EXPECT_EQ(all[1], 2000.0 * 0x1p32);
  EXPECT_EQ(all[2], 2000.0 * 0x1p30);
}

TEST_P(AggregationTest, TrimmedMeanEqualsSortingEachCoordinate) {
  for (std::size_t count = 1; count <= 64; ++count) {
    const std::size_t size = 130, trim = (count - 1) / 3;
    const Rows rows = random_rows(count, size, static_cast<unsigned>(count));
    std::vector<float> out(size);
    kernels_.trimmed_mean(spans(rows), trim, out);
    for (std::size_t i = 0; i < size; ++i) {
      std::vector<float> column;
      for (const auto& row : rows) column.push_back(row[i]);
      std::sort(column.begin(), column.end());
      std::int64_t total = 0;
      const double share = 1.0 / static_cast<double>(count - 2 * trim) * 0x1p35;
      for (std::size_t k = trim; k < count - trim; ++k) {
        total += std::llrint(static_cast<double>(column[k]) * share);
      }
      ASSERT_EQ(out[i], static_cast<float>(static_cast<double>(total) * 0x1p-35)) << count << " " << i;
    }
  }
}

TEST_P(AggregationTest, BytesAreTheRecordedOnes) {
  const Rows rows = random_rows(7, 150000, 5);
  std::vector<float> sum(150000), trimmed(150000);
  std::vector<double> distances(49);
  kernels_.weighted_sum(spans(rows), falling_shares(7), sum);
  kernels_.trimmed_mean(spans(rows), 2, trimmed);
  kernels_.squared_distances(spans(rows), distances);
  const double norm = kernels_.l2_norm(rows[0]);
  EXPECT_EQ(digest(sum), 9441763001590591695ULL);
  EXPECT_EQ(digest(trimmed), 18283317074936688527ULL);
  EXPECT_EQ(digest(distances), 6072328351078918565ULL);
  EXPECT_EQ(digest(std::vector<double>{norm}), 4554230973672942560ULL);
}

TEST_P(AggregationTest, ValuesOutOfRangeAreRefusedWhereverTheyAre) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(), 32769.0F}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{1024}, std::size_t{39998}}) {
      Rows rows = random_rows(6, 39999, 6);
      rows[4][at] = bad;
      std::vector<float> out(39999);
      EXPECT_THROW(kernels_.weighted_sum(spans(rows), falling_shares(6), out), std::invalid_argument);
      EXPECT_THROW(kernels_.trimmed_mean(spans(rows), 1, out), std::invalid_argument);
      std::vector<double> distances(36);
      EXPECT_THROW(kernels_.squared_distances(spans(rows), distances), std::invalid_argument);
    }
  }
}

TEST(Aggregation, MistakesOfTheCallerAreNamed) {
  const Aggregation kernels(std::make_shared<ThreadPool>(1));
  const Rows rows = random_rows(3, 4, 7);
  const std::vector<Delta> uneven{rows[0], Delta(rows[1]).first(3)};
  std::vector<float> out(4);
  std::vector<double> distances(9);
  EXPECT_THROW(kernels.weighted_sum({}, {}, out), std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(std::vector<Delta>(65, rows[0]), std::vector<double>(65, 0.0), out),
               std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(uneven, std::vector<double>{0.5, 0.5}, out), std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(spans(rows), std::vector<double>{0.5, 0.5}, out), std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(spans(rows), std::vector<double>{0.5, 0.5, 0.1}, out),
               std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(spans(rows), std::vector<double>{0.5, -0.5, 0.1}, out),
               std::invalid_argument);
  EXPECT_THROW(kernels.weighted_sum(spans(rows), std::vector<double>{0.5, std::nan(""), 0.1}, out),
               std::invalid_argument);
  EXPECT_THROW(kernels.trimmed_mean(spans(rows), 2, out), std::invalid_argument);
  EXPECT_THROW(kernels.trimmed_mean(spans(random_rows(4, 4, 7)), 2, out), std::invalid_argument);
  EXPECT_THROW(kernels.trimmed_mean(spans(rows), std::size_t{1} << 63U, out), std::invalid_argument);
  EXPECT_THROW(kernels.squared_distances(uneven, distances), std::invalid_argument);
}

}  // namespace
}  // namespace murmur
