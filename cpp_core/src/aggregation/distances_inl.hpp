// Squared distances of all pairs, in single precision block by block (docs/adr/0047).

namespace murmur::aggregation::MURMUR_TARGET {

inline constexpr std::size_t kFloats = sizeof(Floats) / sizeof(float);
inline constexpr std::size_t kSingles = kLanes / kFloats;  // registers that hold one pair's lanes
inline constexpr std::size_t kTile = kSingles == 1 ? 4 : kSingles == 2 ? 2 : 1;  // as many as registers hold
static_assert(kBlock % kLanes == 0 && kMaxDeltas % kTile == 0);

struct TileSums {
  alignas(64) float lanes[kTile][kTile][kLanes];
};

/// Lane by lane, add up the squares of left[l] - right[r] over n coordinates, a multiple of kLanes.
inline void add_squares(const float* const* left, const float* const* right, std::size_t start, std::size_t n,
                        TileSums& out) noexcept {
  Floats sums[kTile][kTile][kSingles]{};
  for (std::size_t i = start; i < start + n; i += kLanes) {
    for (std::size_t s = 0; s < kSingles; ++s) {
      Floats from[kTile];
      for (std::size_t l = 0; l < kTile; ++l)
        std::memcpy(&from[l], left[l] + i + s * kFloats, sizeof(Floats));
      for (std::size_t r = 0; r < kTile; ++r) {
        Floats to;
        std::memcpy(&to, right[r] + i + s * kFloats, sizeof to);
        for (std::size_t l = 0; l < kTile; ++l) {
          const Floats difference = from[l] - to;
          sums[l][r][s] += difference * difference;
        }
      }
    }
  }
  std::memcpy(out.lanes, sums, sizeof sums);
}

/// Add a block of n <= kBlock coordinates to the distances of the pairs in a tile, [kMaxDeltas] apart.
inline void add_tile(const float* const* left, const float* const* right, std::size_t start, std::size_t n,
                     double* distances) noexcept {
  TileSums sums;
  const std::size_t whole = n / kLanes * kLanes;
  add_squares(left, right, start, whole, sums);
  for (std::size_t l = 0; l < kTile; ++l) {
    for (std::size_t r = 0; r < kTile; ++r) {
      float* lanes = sums.lanes[l][r];
      for (std::size_t i = whole; i < n; ++i) {
        const float difference = left[l][start + i] - right[r][start + i];
        lanes[i - whole] += difference * difference;
      }
      distances[l * kMaxDeltas + r] += static_cast<double>(fold(lanes));
    }
  }
}

/// What reads a block for the first time, and brings it into the cache: the largest magnitude bits of all
/// deltas.
inline std::int32_t largest_magnitude(const float* const* deltas, std::size_t count, std::size_t start,
                                      std::size_t n) noexcept {
  std::int32_t largest = 0;
  for (std::size_t k = 0; k < count; ++k) {
    for (std::size_t i = start; i < start + n; ++i) largest = std::max(largest, magnitude_bits(deltas[k][i]));
  }
  return largest;
}

inline std::uint32_t squared_distances(const float* const* deltas, std::size_t count, std::size_t n,
                                       double* out) noexcept {
  double distances[kMaxDeltas * kMaxDeltas]{};
  const float* rows[kMaxDeltas];  // whole tiles: the last delta stands in for those that are missing
  for (std::size_t k = 0; k < kMaxDeltas; ++k) rows[k] = deltas[std::min(k, count - 1)];
  std::int32_t largest = 0;
  for (std::size_t start = 0; start < n; start += kBlock) {
    const std::size_t length = std::min(kBlock, n - start);
    largest = std::max(largest, largest_magnitude(deltas, count, start, length));
    for (std::size_t left = 0; left < count; left += kTile) {
      for (std::size_t right = left; right < count; right += kTile) {
        add_tile(rows + left, rows + right, start, length, distances + left * kMaxDeltas + right);
      }
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i + 1; j < count; ++j) *out++ = distances[i * kMaxDeltas + j];
  }
  return static_cast<std::uint32_t>(largest);
}

}  // namespace murmur::aggregation::MURMUR_TARGET
