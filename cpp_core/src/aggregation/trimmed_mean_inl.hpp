// The mean of each coordinate without its smallest and largest values: sorted in floats, then summed in fixed
// point.

namespace murmur::aggregation::MURMUR_TARGET {

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

/// Sort the columns of rows [count, kColumns] by one network for all: Batcher's merge exchange (Knuth, vol.
/// 3, 5.2.2, algorithm M).
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
    shares[k] = 1.0 / static_cast<double>(left) * kFromUnit;
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
