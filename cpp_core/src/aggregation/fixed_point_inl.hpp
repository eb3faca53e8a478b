// The weighted sum in fixed point, and the trimmed mean.
//
// Rounding to an integer is done by adding 1.5 * 2^52: where |x| <= 2^51, the low bits of the sum are then
// the nearest integer, ties to even, plus those of the constant. The constants are taken off once, after all
// deltas.

namespace murmur::aggregation::MURMUR_TARGET {

inline constexpr double kRounder = 0x1.8p52;
inline constexpr std::uint64_t kRounderBits = 0x4338000000000000ULL;
inline constexpr double kToUnit = 0x1p-35;  // 2^-kScaleBits
inline constexpr std::size_t kRun = 2048;   // coordinates whose integer sums (16 KB) stay in L1
inline constexpr std::size_t kAtOnce = 8;   // deltas added before the sums are written back

/// The bits of |value|: above those of kMaxMagnitude for what is out of range, infinite or NaN.
inline std::int32_t magnitude_bits(float value) noexcept {
  return std::bit_cast<std::int32_t>(value) & 0x7fffffff;
}

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
    // The sum is below 2^51, so adding the rounder's bits again and subtracting the rounder makes it a
    // double.
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

inline constexpr std::size_t kColumns = 64;  // coordinates sorted side by side: 64 rows of them are 16 KB

/// Order two rows: the smaller values into `low`, the larger into `high`.
inline void order(float* low, float* high) noexcept {
  for (std::size_t i = 0; i < kColumns; i += sizeof(Floats) / sizeof(float)) {
    Floats a, b;
    std::memcpy(&a, low + i, sizeof a);
    std::memcpy(&b, high + i, sizeof b);
    const Floats smaller = lesser(b, a), larger = greater(a, b);
    std::memcpy(low + i, &smaller, sizeof smaller);
    std::memcpy(high + i, &larger, sizeof larger);
  }
}

/// Sort the columns of rows [count, kColumns] by one network for all: Batcher's merge exchange, Knuth vol.
/// 3, 5.2.2, M.
inline void sort_columns(float (*rows)[kColumns], std::size_t count) noexcept {
  if (count < 2) return;
  const std::size_t top = std::bit_ceil(count) / 2;
  for (std::size_t p = top; p > 0; p /= 2) {
    std::size_t r = 0, d = p;
    for (std::size_t q = top; true; q /= 2) {
      for (std::size_t i = 0; i + d < count; ++i) {
        if ((i & p) == r) order(rows[i], rows[i + d]);
      }
      if (q == p) break;
      d = q - p;
      r = p;
    }
  }
}

inline std::uint32_t trimmed_mean(const float* const* deltas, std::size_t count, std::size_t trim,
                                  std::size_t n, float* out) noexcept {
  alignas(64) float rows[kMaxDeltas][kColumns];
  alignas(64) std::int64_t sums[kColumns];
  alignas(64) float results[kColumns];
  const float* kept[kMaxDeltas];
  double shares[kMaxDeltas];
  const std::size_t left = count - 2 * trim;
  for (std::size_t k = 0; k < left; ++k) {
    kept[k] = rows[trim + k];
    shares[k] = 1.0 / static_cast<double>(left) * 0x1p35;
  }
  std::int32_t largest = 0;
  for (std::size_t start = 0; start < n; start += kColumns) {
    const std::size_t run = std::min(kColumns, n - start);
    for (std::size_t k = 0; k < count; ++k) {
      std::fill_n(rows[k], kColumns, 0.0F);
      std::copy_n(deltas[k] + start, run, rows[k]);
      for (std::size_t i = 0; i < kColumns; ++i) largest = std::max(largest, magnitude_bits(rows[k][i]));
    }
    sort_columns(rows, count);
    std::fill_n(sums, kColumns, std::int64_t{0});
    for (std::size_t k = 0; k < left; ++k)
      static_cast<void>(add_products<1>(kept + k, 0, shares + k, kColumns, sums));
    to_floats(sums, left, kColumns, results);
    std::copy_n(results, run, out + start);
  }
  return static_cast<std::uint32_t>(largest);
}

}  // namespace murmur::aggregation::MURMUR_TARGET
