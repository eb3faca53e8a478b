/// The two action distributions, for one sample at a time: categorical over logits, diagonal Gaussian.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace murmur {

/// Write the log-softmax of `logits` [A] into `log_probs` [A] and return the entropy in nats.
float log_softmax(std::span<const float> logits, std::span<float> log_probs) noexcept;

/// The most probable choice; the first of equals.
[[nodiscard]] std::size_t greedy_choice(std::span<const float> logits) noexcept;

/// Diagonal Gaussian whose standard deviation does not depend on the state (Huang et al. 2022, "The 37
/// Implementation Details of PPO", continuous details 2 and 3).
class GaussianScale {
 public:
  /// log_std: [A]; an empty one stands for "no Gaussian head" and must not be asked anything.
  explicit GaussianScale(std::span<const float> log_std);

  /// log p(action | mean), summed over components. mean, action: [A].
  [[nodiscard]] float log_prob(std::span<const float> mean, std::span<const float> action) const noexcept;
  [[nodiscard]] float inverse_std(std::size_t component) const noexcept { return inverse_std_[component]; }
  /// Nats, summed over components.
  [[nodiscard]] double entropy() const noexcept { return entropy_; }

 private:
  std::vector<float> inverse_std_;
  double log_normalizer_ = 0.0;  ///< sum over components of log_std + log(2 pi) / 2
  double entropy_ = 0.0;
};

}  // namespace murmur
