#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "murmur/base/rng.hpp"
#include "murmur/rollout/gae.hpp"

namespace murmur {

/// T steps of N envs, with D observation dims and A floats per action.
struct RolloutShape {
  std::size_t num_steps;   // T
  std::size_t num_envs;    // N
  std::size_t obs_dim;     // D
  std::size_t action_dim;  // A
};

/// What PPO learns from: T steps of N envs as flat arrays, allocated once and overwritten by every rollout.
class RolloutBuffer {
 public:
  /// Throws std::invalid_argument when a dimension is zero or the sizes overflow.
  explicit RolloutBuffer(const RolloutShape& shape);

  [[nodiscard]] const RolloutShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t num_samples() const noexcept { return shape_.num_steps * shape_.num_envs; }

  /// The N rows of step `t` of an array whose items have `width` numbers.
  template <class T>
  [[nodiscard]] std::span<T> at_step(std::vector<T>& array, std::size_t t, std::size_t width = 1) noexcept {
    const std::size_t row = shape_.num_envs * width;
    return std::span<T>(array).subspan(t * row, row);
  }

  /// Fill `advantages` (GAE) and `returns` (advantages + values) from the rest.
  void compute_advantages(float gamma, float lambda);

  /// Put copies of other samples, drawn with `rng`, in the place of the samples `gaps`: ascending indices of
  /// [T, N], of steps that were part of no episode. After `compute_advantages`; their number stays known as
  /// `num_gaps`, 0 included. Where there is no other sample they are left, and say that nothing is to be
  /// changed.
  void fill_gaps(std::span<const std::size_t> gaps, Rng& rng);
  [[nodiscard]] std::size_t num_gaps() const noexcept { return num_gaps_; }

  [[nodiscard]] GaeInput gae_input() const noexcept;

  std::vector<float> observations;       // [T, N, D], as the policy saw them (normalised)
  std::vector<float> actions;            // [T, N, A]
  std::vector<float> log_probs;          // [T, N]
  std::vector<float> rewards;            // [T, N], as the learner uses them (normalised)
  std::vector<float> values;             // [T + 1, N]; the last row values what follows the rollout
  std::vector<std::uint8_t> terminated;  // [T, N]
  std::vector<std::uint8_t> truncated;   // [T, N]
  std::vector<float> final_values;       // [T, N], value of the final observation; read where truncated only
  std::vector<float> advantages;         // [T, N]
  std::vector<float> returns;            // [T, N]

 private:
  void copy_sample(std::size_t from, std::size_t to) noexcept;

  RolloutShape shape_;
  std::size_t num_gaps_ = 0;
};

}  // namespace murmur
