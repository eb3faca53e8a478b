// Norms: float64 sums in the fixed order of kernel_set.hpp.

namespace murmur::aggregation::MURMUR_TARGET {

inline double sum_of_squares(const float* delta, std::size_t n) noexcept {
  Lanes sums{};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t v = 0; v < kParts; ++v) {
      const Wide x = widen(delta + i + v * kWidth);
      sums.part[v] += x * x;
    }
  }
  double lanes[kLanes];
  sums.write(lanes);
  for (std::size_t j = 0; i + j < n; ++j) {
    const double x = static_cast<double>(delta[i + j]);
    lanes[j] += x * x;
  }
  return fold(lanes);
}

}  // namespace murmur::aggregation::MURMUR_TARGET
