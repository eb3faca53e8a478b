// tanh, exp, log and SiLU of the kernels against libm in double, and the same bytes on every instruction set.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "murmur/kernels/kernel_set.hpp"

namespace murmur::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

using Elementwise = void (*)(std::size_t, const float*, float*) noexcept;

std::vector<float> apply(Elementwise f, std::vector<float> x) {
  const std::size_t n = x.size();
  x.resize(padded(n), 1.0F);
  std::vector<float> y(x.size());
  f(x.size(), x.data(), y.data());
  y.resize(n);
  return y;
}

/// Floats from `low` to `high`, both positive, every `stride`-th bit pattern.
std::vector<float> sweep(float low, float high, std::uint32_t stride) {
  std::uint32_t from = 0, to = 0;
  std::memcpy(&from, &low, 4);
  std::memcpy(&to, &high, 4);
  std::vector<float> x;
  for (std::uint32_t bits = from; bits <= to; bits += stride) {
    float value = 0.0F;
    std::memcpy(&value, &bits, 4);
    x.push_back(value);
  }
  return x;
}

double ulps(float got, double expected) {
  int exponent = 0;
  std::frexp(static_cast<double>(static_cast<float>(expected)), &exponent);
  return std::abs(static_cast<double>(got) - expected) / std::ldexp(1.0, exponent - 24);
}

TEST(KernelMath, TanhIsWithinFiveUlpOddAndNeverBeyondOne) {
  const std::vector<float> x = sweep(1e-30F, 30.0F, 1009);
  const std::vector<float> y = apply(best_kernels().tanh, x);
  std::vector<float> minus = x;
  for (float& v : minus) v = -v;
  const std::vector<float> z = apply(best_kernels().tanh, minus);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_LT(ulps(y[i], std::tanh(static_cast<double>(x[i]))), 5.0) << x[i];
    ASSERT_LE(y[i], 1.0F) << x[i];
    ASSERT_EQ(z[i], -y[i]) << x[i];
  }
}

TEST(KernelMath, ExpIsWithinTwoUlp) {
  std::vector<float> x = sweep(1e-8F, 88.3F, 503);
  const std::size_t half = x.size();
  for (std::size_t i = 0; i < half; ++i) x.push_back(-std::min(x[i], 87.2F));
  const std::vector<float> y = apply(best_kernels().exp, x);
  for (std::size_t i = 0; i < x.size(); ++i)
    ASSERT_LT(ulps(y[i], std::exp(static_cast<double>(x[i]))), 2.0) << x[i];
}

TEST(KernelMath, LogIsWithinTwoUlp) {
  // Near 1 the logarithm vanishes and its last digits with it: there the error is bounded absolutely.
  const std::vector<float> x = sweep(1e-37F, 1e37F, 1013);
  const std::vector<float> y = apply(best_kernels().log, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = std::log(static_cast<double>(x[i]));
    ASSERT_TRUE(ulps(y[i], expected) < 2.0 || std::abs(static_cast<double>(y[i]) - expected) < 1e-9) << x[i];
  }
}

struct SiluPair {
  std::vector<float> value, slope;
};

SiluPair apply_silu(const KernelSet& set, std::vector<float> x) {
  const std::size_t n = x.size();
  x.resize(padded(n), 1.0F);
  SiluPair y{std::vector<float>(x.size()), std::vector<float>(x.size())};
  set.silu(x.size(), x.data(), y.value.data(), y.slope.data());
  y.value.resize(n);
  y.slope.resize(n);
  return y;
}

TEST(KernelMath, SiluIsWithinFourUlpAndItsSlopeWithinAMillionth) {
  std::vector<float> x = sweep(1e-20F, 1e30F, 2003);
  const std::size_t half = x.size();
  for (std::size_t i = 0; i < half; ++i) x.push_back(-x[i]);
  const SiluPair y = apply_silu(best_kernels(), x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const double sigmoid = 1.0 / (1.0 + std::exp(-v));
    // Below -80 the value is smaller than 1e-33, and the exponential soon overflows: then it is zero.
    ASSERT_TRUE(v < -80.0 ? std::abs(y.value[i]) < 1e-32F : ulps(y.value[i], v * sigmoid) < 4.0) << v;
    ASSERT_NEAR(y.slope[i], sigmoid + v * sigmoid * (1.0 - sigmoid), 1e-6) << v;
  }
}

TEST(KernelMath, EndsOfTheRangeAreRightOnEverySet) {
  for (const KernelSet* set : available_kernels()) {
    SCOPED_TRACE(std::string(set->name));
    const std::vector<float> y = apply(set->tanh, {0.0F, 100.0F, -100.0F, kInfinity, -kInfinity, kNaN});
    EXPECT_EQ(y[0], 0.0F);
    for (const std::size_t i : {1, 3}) EXPECT_NEAR(y[i], 1.0F, 2e-7F);
    for (const std::size_t i : {2, 4}) EXPECT_NEAR(y[i], -1.0F, 2e-7F);
    EXPECT_TRUE(std::isnan(y[5]));
    const std::vector<float> e = apply(set->exp, {0.0F, 200.0F, -200.0F, kInfinity, -kInfinity, kNaN});
    EXPECT_EQ(e[0], 1.0F);
    EXPECT_EQ(e[1], kInfinity);
    EXPECT_EQ(e[2], 0.0F);
    EXPECT_EQ(e[3], kInfinity);
    EXPECT_EQ(e[4], 0.0F);
    EXPECT_TRUE(std::isnan(e[5]));
    const std::vector<float> l = apply(set->log, {1.0F, kInfinity, kNaN});
    EXPECT_EQ(l[0], 0.0F);
    EXPECT_EQ(l[1], kInfinity);
    EXPECT_TRUE(std::isnan(l[2]));
    const SiluPair s = apply_silu(*set, {0.0F, 1e38F, -1e38F, kInfinity, kNaN});
    EXPECT_EQ(s.value[0], 0.0F);
    EXPECT_EQ(s.slope[0], 0.5F);
    EXPECT_EQ(s.value[1], 1e38F);
    EXPECT_EQ(s.slope[1], 1.0F);
    EXPECT_EQ(s.value[2], 0.0F);
    EXPECT_EQ(s.slope[2], 0.0F);
    EXPECT_EQ(s.value[3], kInfinity);
    EXPECT_TRUE(std::isnan(s.value[4]) && std::isnan(s.slope[4]));
  }
}

TEST(KernelMath, EverySetGivesTheSameBytes) {
  std::vector<float> x = sweep(1e-38F, 100.0F, 9973);
  const std::size_t half = x.size();
  for (std::size_t i = 0; i < half; ++i) x.push_back(-x[i]);
  const std::vector<float> positive(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(half));
  const KernelSet& best = best_kernels();
  for (const KernelSet* set : available_kernels()) {
    EXPECT_EQ(apply(set->tanh, x), apply(best.tanh, x)) << set->name;
    EXPECT_EQ(apply(set->exp, x), apply(best.exp, x)) << set->name;
    EXPECT_EQ(apply(set->log, positive), apply(best.log, positive)) << set->name;
    EXPECT_EQ(apply_silu(*set, x).value, apply_silu(best, x).value) << set->name;
    EXPECT_EQ(apply_silu(*set, x).slope, apply_silu(best, x).slope) << set->name;
  }
}

TEST(KernelSets, TheLastIsScalarAndNamesDiffer) {
  const auto sets = available_kernels();
  EXPECT_EQ(sets.back()->name, "scalar");
  EXPECT_EQ(has_vector_kernels(), sets.size() > 1);
  for (std::size_t i = 1; i < sets.size(); ++i) EXPECT_NE(sets[i]->name, sets[i - 1]->name);
}

}  // namespace
}  // namespace murmur::kernels
