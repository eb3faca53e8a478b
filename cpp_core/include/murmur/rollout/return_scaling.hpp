#pragma once
// Reward normalisation as Stable-Baselines3's VecNormalize does it (and OpenAI baselines before it): rewards
// are divided by the standard deviation of a running discounted return, and not centred, which would change
// the task. Gymnasium's NormalizeReward differs in detail: it does not clip, and drops the old return before
// adding the reward of a terminated step.

#include <cstdint>
#include <span>
#include <vector>

namespace murmur {

/// The discounted return of each env so far: G = gamma * G + r, restarted when an episode ends.
class DiscountedReturns {
 public:
  /// Throws std::invalid_argument when num_envs is 0 or gamma is outside [0, 1].
  DiscountedReturns(std::size_t num_envs, float gamma);

  /// Move every G on by one reward and return them, [N]: rows for RunningMoments. Call `end_episodes` next.
  std::span<const float> add(std::span<const float> rewards) noexcept;

  /// Restart at 0 where an episode ended.
  void end_episodes(std::span<const std::uint8_t> terminated,
                    std::span<const std::uint8_t> truncated) noexcept;

  /// Restart env `i`, whose episode was dropped.
  void restart(std::size_t i) noexcept;
  void restart_all() noexcept;

  /// The state, [N], for checkpoints.
  [[nodiscard]] std::span<float> values() noexcept { return returns_; }
  [[nodiscard]] std::span<const float> values() const noexcept { return returns_; }

 private:
  float gamma_;
  std::vector<float> returns_;
};

/// Write rewards / sqrt(return_variance + epsilon), clipped to [-clip, clip], into `out`; same memory is
/// fine.
void scale_rewards(std::span<const float> rewards, double return_variance, std::span<float> out,
                   float clip = 10.0F, double epsilon = 1e-8) noexcept;

}  // namespace murmur
