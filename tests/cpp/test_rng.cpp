#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "murmur/base/rng.hpp"

namespace murmur {
namespace {

// O'Neill's pcg32-demo with its default seeding (42, 54), round 1.
TEST(Rng, MatchesTheReferenceGenerator) {
  Rng rng = Rng::pcg32(42, 54);
  for (const std::uint32_t expected :
       {0xa15c02b7U, 0x7b47f409U, 0xba1d3330U, 0x83d2f293U, 0xbfa4784bU, 0xcbed606eU}) {
    EXPECT_EQ(rng.next_u32(), expected);
  }
}

// The first outputs of the reference splitmix64.c for seed 1234567: its state is seed + k * golden gamma.
TEST(Rng, MixesLikeTheReferenceSplitMix64) {
  constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15ULL;
  EXPECT_EQ(mix64(1234567), 6457827717110365317ULL);
  EXPECT_EQ(mix64(1234567 + kGamma), 3203168211198807973ULL);
  EXPECT_EQ(mix64(1234567 + 2 * kGamma), 9817491932198370423ULL);
}

TEST(Rng, IsUsableInConstantExpressions) {
  static_assert(Rng(1).next_u32() == Rng(1).next_u32());
  static_assert(Rng(1).next_u32() != Rng(2).next_u32());
}

TEST(Rng, SeparatesNeighbouringSeedsAndStreams) {
  std::set<std::uint64_t> first;
  for (std::uint64_t seed = 0; seed < 64; ++seed) {
    for (std::uint64_t stream = 0; stream < 64; ++stream) first.insert(Rng(seed, stream).next_u64());
  }
  EXPECT_EQ(first.size(), 64U * 64U);
}

TEST(Rng, StreamsOfOneSeedAreUncorrelated) {
  constexpr int kDraws = 20000;
  for (std::uint64_t stream = 0; stream < 8; ++stream) {
    Rng a(7, stream), b(7, stream + 1);
    double sum = 0.0;
    for (int i = 0; i < kDraws; ++i) sum += (a.uniform_double() - 0.5) * (b.uniform_double() - 0.5);
    EXPECT_LT(std::abs(sum / kDraws), 4.0 / 12.0 / std::sqrt(kDraws)) << "streams " << stream << " and next";
  }
}

TEST(Rng, ContinuesFromASavedState) {
  Rng rng(3, 4);
  rng.next_u32();
  Rng copy = Rng::from_state(rng.state());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(copy.next_u64(), rng.next_u64());
}

TEST(Rng, UniformCoversTheUnitIntervalEvenlyAndStaysBelowOne) {
  Rng rng(5);
  std::array<int, 16> buckets{};
  constexpr int kDraws = 160000;
  for (int i = 0; i < kDraws; ++i) {
    const float value = rng.uniform();
    ASSERT_GE(value, 0.0F);
    ASSERT_LT(value, 1.0F);
    ++buckets[static_cast<std::size_t>(value * 16.0F)];
  }
  double chi2 = 0.0;
  for (const int count : buckets) chi2 += std::pow(count - kDraws / 16.0, 2) / (kDraws / 16.0);
  EXPECT_LT(chi2, 37.7);  // 15 degrees of freedom, p = 0.001
}

TEST(Rng, UniformBetweenBoundsNeverReachesTheUpperOne) {
  Rng rng(6);
  const float low = 1.0F, high = std::nextafter(1.0F, 2.0F);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(rng.uniform(low, high), low);
}

TEST(Rng, BelowIsUnbiasedAndInRange) {
  Rng rng(8);
  std::array<int, 6> counts{};
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) ++counts.at(rng.below(6));
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 6, 400);
  EXPECT_EQ(rng.below(1), 0U);
  EXPECT_LT(rng.below(~0ULL), ~0ULL);
  for (int i = 0; i < 100; ++i) EXPECT_LT(rng.below((1ULL << 40U) + 1), (1ULL << 40U) + 1);
}

TEST(Rng, BelowMasksAllBitsUnderTheHighestOfTheBound) {
  Rng bounds(7);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bound = (bounds.next_u64() >> bounds.below(64)) | 1U;
    std::uint64_t mask = 1;  // bit by bit, as a device without a count of leading zeros has to
    while (mask < bound - 1) mask = 2 * mask + 1;
    Rng drawn(static_cast<std::uint64_t>(i)), reference(static_cast<std::uint64_t>(i));
    std::uint64_t expected = bound;
    while (expected >= bound) {
      expected = (mask >> 32U) == 0 ? reference.next_u32() & mask : reference.next_u64() & mask;
    }
    EXPECT_EQ(drawn.below(bound), expected) << "below " << bound;
    EXPECT_EQ(drawn.state(), reference.state());
  }
}

}  // namespace
}  // namespace murmur
