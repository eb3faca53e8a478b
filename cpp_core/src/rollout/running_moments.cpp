#include "murmur/rollout/running_moments.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "murmur/base/check.hpp"

namespace murmur {

namespace {

// Of what is subtracted, which float holds with room for the factor of at most 1e4: a mean that peers sent
// may be beyond it, and infinity times a factor of 0 is NaN.
constexpr double kMaxShift = 1e30;

}  // namespace

RunningMoments::RunningMoments(std::size_t size) : count_(size), mean_(size), m2_(size) {
  if (size == 0) throw_invalid("moments need at least one quantity");
}

RunningMoments::RunningMoments(std::span<const double> count, std::span<const double> mean,
                               std::span<const double> m2)
    : count_(count.begin(), count.end()), mean_(mean.begin(), mean.end()), m2_(m2.begin(), m2.end()) {
  if (count.empty()) throw_invalid("moments need at least one quantity");
  check_size("mean", count.size(), mean.size());
  check_size("m2", count.size(), m2.size());
  check_finite("count", count);
  check_finite("mean", mean);
  check_finite("m2", m2);
  for (std::size_t i = 0; i < count.size(); ++i) {
    if (count[i] < 0.0)
      throw_invalid("count[" + std::to_string(i) + "] is " + to_text(count[i]) + ", below 0");
    if (m2[i] < 0.0) throw_invalid("m2[" + std::to_string(i) + "] is " + to_text(m2[i]) + ", below 0");
  }
}

double RunningMoments::variance(std::size_t i) const noexcept {
  return count_[i] > 0.0 ? m2_[i] / count_[i] : 1.0;
}

void RunningMoments::update(std::span<const float> rows, std::size_t width, std::size_t first) noexcept {
  MURMUR_ASSERT(width > 0 && first + width <= size() && rows.size() % width == 0);
  const std::size_t num_rows = rows.size() / width;
  if (num_rows == 0) return;
  const auto count = static_cast<double>(num_rows);
  for (std::size_t k = 0; k < width; ++k) {
    double sum = 0.0;
    for (std::size_t i = k; i < rows.size(); i += width) sum += static_cast<double>(rows[i]);
    const double mean = sum / count;
    double m2 = 0.0;
    for (std::size_t i = k; i < rows.size(); i += width) {
      const double deviation = static_cast<double>(rows[i]) - mean;
      m2 += deviation * deviation;
    }
    merge_one(first + k, count, mean, m2);
  }
}

void RunningMoments::merge(const RunningMoments& other) {
  check_size("moments to merge", size(), other.size());
  for (std::size_t i = 0; i < size(); ++i) merge_one(i, other.count_[i], other.mean_[i], other.m2_[i]);
}

void RunningMoments::merge_one(std::size_t i, double count, double mean, double m2) noexcept {
  if (count == 0.0) return;
  const double total = count_[i] + count;
  const double delta = mean - mean_[i];
  mean_[i] += delta * (count / total);
  m2_[i] += m2 + delta * delta * (count_[i] * count / total);
  count_[i] = total;
}

Normalizer::Normalizer(std::size_t dim, float clip, float epsilon)
    : clip_(clip), epsilon_(epsilon), shift_(dim, 0.0F), scale_(dim, 1.0F) {
  if (dim == 0) throw_invalid("dim must be at least 1");
  if (!(clip > 0.0F)) throw_invalid("clip must be above 0, got " + to_text(static_cast<double>(clip)));
  if (!(epsilon > 0.0F))
    throw_invalid("epsilon must be above 0, got " + to_text(static_cast<double>(epsilon)));
}

void Normalizer::refresh(const RunningMoments& moments) {
  if (moments.size() < shift_.size()) {
    throw_invalid("moments hold " + std::to_string(moments.size()) + " quantities, need " +
                  std::to_string(shift_.size()));
  }
  for (std::size_t i = 0; i < shift_.size(); ++i) {
    shift_[i] = static_cast<float>(std::clamp(moments.mean()[i], -kMaxShift, kMaxShift));
    scale_[i] = static_cast<float>(1.0 / std::sqrt(moments.variance(i) + static_cast<double>(epsilon_)));
  }
}

void Normalizer::apply(std::span<const float> in, std::span<float> out) const noexcept {
  const std::size_t dim = shift_.size();
  MURMUR_ASSERT(in.size() % dim == 0 && in.size() == out.size());
  for (std::size_t row = 0; row < in.size(); row += dim) {
    for (std::size_t k = 0; k < dim; ++k) {
      const float value = (in[row + k] - shift_[k]) * scale_[k];
      const float below = clip_ < value ? clip_ : value;  // NaN fails both tests and passes through
      out[row + k] = below < -clip_ ? -clip_ : below;
    }
  }
}

}  // namespace murmur
