// The weighted sum, in fixed point.
//
// Rounding to an integer is done by adding 1.5 * 2^52: where |x| <= 2^51, the low bits of the sum are then
// the nearest integer, ties to even, plus those of the constant. The constants are taken off at the end.

namespace murmur::aggregation::MURMUR_TARGET {

inline constexpr double kFromUnit = static_cast<double>(std::uint64_t{1} << kScaleBits);
inline constexpr double kRounder = 0x1.8p52;
inline constexpr std::uint64_t kRounderBits = 0x4338000000000000ULL;
inline constexpr double kToUnit = 1.0 / kFromUnit;
inline constexpr std::size_t kRun = 2048;  // coordinates whose integer sums (16 KB) stay in L1
inline constexpr std::size_t kAtOnce = 8;  // deltas added before the sums are written back

/// Add `count` deltas' products for what is too short for a register; return the largest magnitude bits. Not
/// inlined: GCC 12 warns of overflows in such a loop where it sees that it never runs.
[[gnu::noinline]] inline std::int32_t add_last_products(const float* const* deltas, std::size_t count,
                                                        std::size_t start, const double* shares,
                                                        std::size_t n, std::int64_t* sums) noexcept {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t total = static_cast<std::uint64_t>(sums[i]);
    for (std::size_t k = 0; k < count; ++k) {
      const float value = deltas[k][start + i];
      largest = std::max(largest, magnitude_bits(value));
      total += std::bit_cast<std::uint64_t>(static_cast<double>(value) * shares[k] + kRounder);
    }
    sums[i] = static_cast<std::int64_t>(total);
  }
  return largest;
}

/// Add `Count` deltas' products to integer sums [n]; the bits of kRounder are added along. Returns the
/// largest magnitude bits.
template <std::size_t Count>
inline std::int32_t add_products(const float* const* deltas, std::size_t start, const double* shares,
                                 std::size_t n, std::int64_t* sums) noexcept {
  NarrowBits met{};
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    Integers total;
    std::memcpy(&total, sums + i, sizeof total);
    for (std::size_t k = 0; k < Count; ++k) {
      const float* from = deltas[k] + start + i;
      NarrowBits magnitude;
      std::memcpy(&magnitude, from, sizeof magnitude);
      magnitude &= 0x7fffffff;
      met = magnitude > met ? magnitude : met;
      const Wide x = widen(from) * shares[k] + kRounder;
      Integers bits;
      std::memcpy(&bits, &x, sizeof bits);
      total += bits;  // wraps
    }
    std::memcpy(sums + i, &total, sizeof total);
  }
  std::int32_t largest = 0;
  for (std::size_t lane = 0; lane < kWidth; ++lane) largest = std::max(largest, met[lane]);
  if (i < n)
    largest = std::max(largest, add_last_products(deltas, Count, start + i, shares, n - i, sums + i));
  return largest;
}

/// Take `count` rounders off, and scale back: exact until the one rounding to float.
inline void to_floats(const std::int64_t* sums, std::size_t count, std::size_t n, float* out) noexcept {
  const std::uint64_t rounders = kRounderBits * count;
  for (std::size_t i = 0; i < n; ++i) {
    // Below 2^51: the rounder's bits added and the rounder subtracted make it a double.
    const std::uint64_t bits = static_cast<std::uint64_t>(sums[i]) - rounders + kRounderBits;
    out[i] = static_cast<float>((std::bit_cast<double>(bits) - kRounder) * kToUnit);
  }
}

inline std::uint32_t weighted_sum(const float* const* deltas, const double* scaled_shares, std::size_t count,
                                  std::size_t n, float* out) noexcept {
  alignas(64) std::int64_t sums[kRun];
  std::int32_t largest = 0;
  for (std::size_t start = 0; start < n; start += kRun) {
    const std::size_t run = std::min(kRun, n - start);
    std::fill_n(sums, run, std::int64_t{0});
    std::size_t k = 0;
    for (; k + kAtOnce <= count; k += kAtOnce) {
      largest = std::max(largest, add_products<kAtOnce>(deltas + k, start, scaled_shares + k, run, sums));
    }
    for (; k < count; ++k) {
      largest = std::max(largest, add_products<1>(deltas + k, start, scaled_shares + k, run, sums));
    }
    to_floats(sums, count, run, out + start);
  }
  return static_cast<std::uint32_t>(largest);
}

}  // namespace murmur::aggregation::MURMUR_TARGET
