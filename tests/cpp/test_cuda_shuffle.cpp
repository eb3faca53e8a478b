// The random order in which the CUDA trainer visits samples: a permutation, and a fair one.

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

#include "cuda/shuffle.hpp"
#include "murmur/base/rng.hpp"

namespace murmur::cuda {
namespace {

TEST(CudaShuffle, IsAPermutationOfAnySize) {
  for (const std::uint32_t size : {1U, 2U, 3U, 5U, 31U, 64U, 65U, 1000U, 4096U, 5000U}) {
    const Shuffle order{0x1234567ULL + size, size};
    std::set<std::uint32_t> seen;
    for (std::uint32_t i = 0; i < size; ++i) {
      ASSERT_LT(order(i), size);
      seen.insert(order(i));
    }
    EXPECT_EQ(seen.size(), size);
  }
}

TEST(CudaShuffle, SendsEveryPositionEverywhereEquallyOften) {
  constexpr std::uint32_t kSize = 12;
  constexpr int kKeys = 12000;
  Rng rng(4);
  std::vector<int> counts(kSize * kSize), pairs(kSize * kSize);
  for (int key = 0; key < kKeys; ++key) {
    const Shuffle order{rng.next_u64(), kSize};
    for (std::uint32_t i = 0; i < kSize; ++i) ++counts[i * kSize + order(i)];
    ++pairs[order(0) * kSize + order(1)];
  }
  // Chi squared of each position has 11 degrees of freedom, of the pairs 131; bounds at about 1e-6.
  const auto chi_squared = [](const int* count, std::uint32_t n, double expected, auto skip) {
    double sum = 0.0;
    for (std::uint32_t j = 0; j < n; ++j)
      if (!skip(j)) sum += (count[j] - expected) * (count[j] - expected) / expected;
    return sum;
  };
  for (std::uint32_t i = 0; i < kSize; ++i)
    EXPECT_LT(chi_squared(&counts[i * kSize], kSize, kKeys / 12.0, [](auto) { return false; }), 48.0) << i;
  EXPECT_LT(chi_squared(pairs.data(), kSize * kSize, kKeys / 132.0, [](auto j) { return j % 13 == 0; }),
            219.0);
}

}  // namespace
}  // namespace murmur::cuda
