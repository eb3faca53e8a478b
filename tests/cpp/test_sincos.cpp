#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "murmur/base/rng.hpp"
#include "murmur/base/sincos.hpp"

namespace murmur {
namespace {

double worst_error(float limit, std::uint64_t seed) {
  Rng rng(seed);
  double worst = 0.0;
  for (int i = 0; i < 200000; ++i) {
    const float x = rng.uniform(-limit, limit);
    const SinCos result = sincos(x);
    const auto exact = static_cast<double>(x);
    worst = std::max(worst, std::abs(static_cast<double>(result.sin) - std::sin(exact)));
    worst = std::max(worst, std::abs(static_cast<double>(result.cos) - std::cos(exact)));
  }
  return worst;
}

TEST(SinCos, AgreesWithTheLibraryInDouble) {
  EXPECT_LT(worst_error(0.8F, 1), 1.0e-7);
  EXPECT_LT(worst_error(7.0F, 2), 1.0e-7);
  EXPECT_LT(worst_error(8192.0F, 3), 1.0e-7);
}

TEST(SinCos, KeepsRelativePrecisionNearZero) {
  for (float x = 1e-30F; x < 0.5F; x *= 1.7F) {
    EXPECT_NEAR(static_cast<double>(sincos(x).sin) / std::sin(static_cast<double>(x)), 1.0, 1.2e-7) << x;
    EXPECT_EQ(sincos(-x).sin, -sincos(x).sin) << x;
  }
  EXPECT_EQ(sincos(0.0F).sin, 0.0F);
  EXPECT_EQ(sincos(0.0F).cos, 1.0F);
}

TEST(SinCos, InDoublePrecisionAgreesWithTheLibrary) {
  Rng rng(4);
  for (const double limit : {0.8, 7.0, 1e6}) {
    for (int i = 0; i < 100000; ++i) {
      const double x = limit * (2.0 * rng.uniform_double() - 1.0);
      ASSERT_NEAR(sincos(x).sin, std::sin(x), 2e-16) << x;
      ASSERT_NEAR(sincos(x).cos, std::cos(x), 2e-16) << x;
    }
  }
  EXPECT_EQ(sincos(0.0).sin, 0.0);
  EXPECT_EQ(sincos(0.0).cos, 1.0);
  EXPECT_TRUE(std::isnan(sincos(std::numeric_limits<double>::infinity()).sin));
  EXPECT_TRUE(std::isnan(sincos(std::numeric_limits<double>::quiet_NaN()).cos));
}

TEST(SinCos, NaNAndInfinityGiveNaN) {
  EXPECT_TRUE(std::isnan(sincos(std::numeric_limits<float>::quiet_NaN()).sin));
  EXPECT_TRUE(std::isnan(sincos(std::numeric_limits<float>::infinity()).cos));
}

}  // namespace
}  // namespace murmur
