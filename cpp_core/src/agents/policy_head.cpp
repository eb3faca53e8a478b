#include "murmur/agents/policy_head.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace murmur {

float log_softmax(std::span<const float> logits, std::span<float> log_probs) noexcept {
  const float top = *std::max_element(logits.begin(), logits.end());
  float sum = 0.0F;
  for (const float z : logits) sum += std::exp(z - top);
  const float log_sum = top + std::log(sum);
  float entropy = 0.0F;
  for (std::size_t j = 0; j < logits.size(); ++j) {
    log_probs[j] = logits[j] - log_sum;
    entropy -= std::exp(log_probs[j]) * log_probs[j];
  }
  return entropy;
}

std::size_t greedy_choice(std::span<const float> logits) noexcept {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

GaussianScale::GaussianScale(std::span<const float> log_std) : inverse_std_(log_std.size()) {
  const double half_log_two_pi = 0.5 * std::log(2.0 * std::numbers::pi);
  for (std::size_t j = 0; j < log_std.size(); ++j) {
    inverse_std_[j] = std::exp(-log_std[j]);
    log_normalizer_ += static_cast<double>(log_std[j]) + half_log_two_pi;
  }
  entropy_ = log_normalizer_ + 0.5 * static_cast<double>(log_std.size());
}

float GaussianScale::log_prob(std::span<const float> mean, std::span<const float> action) const noexcept {
  double sum = -log_normalizer_;
  for (std::size_t j = 0; j < mean.size(); ++j) {
    const double z = (action[j] - mean[j]) * inverse_std_[j];
    sum -= 0.5 * z * z;
  }
  return static_cast<float>(sum);
}

}  // namespace murmur
