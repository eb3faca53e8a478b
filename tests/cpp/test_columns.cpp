#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <utility>

#include "murmur/envs/columns.hpp"

namespace murmur {
namespace {

TEST(Columns, BeginOnCacheLinesAndDoNotOverlap) {
  for (const std::size_t n : {1U, 15U, 16U, 17U, 1024U, 1025U}) {
    Columns<float, 5> columns(n);
    for (std::size_t k = 0; k < 5; ++k) {
      ASSERT_EQ(columns[k].size(), n);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(columns[k].data()) % 64, 0U);
      std::iota(columns[k].begin(), columns[k].end(), static_cast<float>(k * n));
    }
    for (std::size_t k = 0; k < 5; ++k) {
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(columns[k][i], static_cast<float>(k * n + i));
    }
  }
}

TEST(Columns, OfAPowerOfTwoFallIntoDifferentLinesOfTheCache) {
  Columns<double, 4> columns(4096);
  for (std::size_t k = 1; k < 4; ++k) {
    const auto distance = reinterpret_cast<std::uintptr_t>(columns[k].data()) -
                          reinterpret_cast<std::uintptr_t>(columns[k - 1].data());
    EXPECT_NE(distance % 4096, 0U);
  }
}

TEST(Columns, KeepTheirNumbersAndAlignmentWhenMoved) {
  Columns<std::int32_t, 2> first(33);
  first[1][32] = 7;
  Columns<std::int32_t, 2> second(1);
  second = std::move(first);
  EXPECT_EQ(second[1][32], 7);
  EXPECT_EQ(second[0][0], 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second[1].data()) % 64, 0U);
}

}  // namespace
}  // namespace murmur
