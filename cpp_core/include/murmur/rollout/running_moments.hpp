#pragma once
// Running statistics of observations and returns, in a form that merges: what two peers saw is the merge of
// what each saw.

#include <cstddef>
#include <span>
#include <vector>

namespace murmur {

/// Count, mean and sum of squared deviations of M quantities, each with a count of its own, in double.
///
/// Batches are reduced in row order (two passes), then merged by Chan, Golub and LeVeque 1979 ("Updating
/// Formulae and a Pairwise Algorithm for Computing Sample Variances"): same rows, same order, same bytes.
class RunningMoments {
 public:
  /// Nothing seen yet: counts, means and M2 are 0.
  explicit RunningMoments(std::size_t size);

  /// Throws std::invalid_argument when sizes differ, a value is not finite, or a count or M2 is negative.
  RunningMoments(std::span<const double> count, std::span<const double> mean, std::span<const double> m2);

  [[nodiscard]] std::size_t size() const noexcept { return count_.size(); }
  [[nodiscard]] std::span<const double> count() const noexcept { return count_; }
  [[nodiscard]] std::span<const double> mean() const noexcept { return mean_; }
  [[nodiscard]] std::span<const double> m2() const noexcept { return m2_; }

  /// Population variance of quantity `i`; 1 while nothing was seen, so that normalising changes nothing.
  [[nodiscard]] double variance(std::size_t i) const noexcept;

  /// Add rows to the quantities [first, first + width): `rows` is [B, width], finite. Allocates nothing.
  void update(std::span<const float> rows, std::size_t width, std::size_t first = 0) noexcept;

  /// Add everything that `other` saw. Throws std::invalid_argument when sizes differ.
  void merge(const RunningMoments& other);

 private:
  void merge_one(std::size_t i, double count, double mean, double m2) noexcept;

  std::vector<double> count_;
  std::vector<double> mean_;
  std::vector<double> m2_;
};

/// Scales rows of D numbers to mean 0 and variance 1, clipped to [-clip, clip].
///
/// Holds float copies of shift and scale, so that the hot loop is one subtract, multiply and clip.
/// Defaults of clip (10) and epsilon (1e-8): Stable-Baselines3's VecNormalize, as in OpenAI baselines.
class Normalizer {
 public:
  /// Starts as the identity (apart from the clip) for `dim` quantities.
  explicit Normalizer(std::size_t dim, float clip = 10.0F, float epsilon = 1e-8F);

  /// Take mean and variance of the first D quantities of `moments`. Throws std::invalid_argument when it has
  /// fewer.
  void refresh(const RunningMoments& moments);

  /// Normalise `in`, [B, D], into `out`; they may be the same memory. NaN stays NaN.
  void apply(std::span<const float> in, std::span<float> out) const noexcept;

  [[nodiscard]] std::span<const float> shift() const noexcept { return shift_; }  // [D]
  [[nodiscard]] std::span<const float> scale() const noexcept { return scale_; }  // [D]

 private:
  float clip_;
  float epsilon_;
  std::vector<float> shift_;
  std::vector<float> scale_;
};

}  // namespace murmur
