/// Global-norm gradient clipping and Adam, one pass each over the flat vectors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace murmur {

struct AdamSettings {
  double learning_rate = 2.5e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-5;       ///< 1e-5, not Adam's 1e-8 (Huang et al. 2022, detail 3)
  double max_grad_norm = 0.5;  ///< clip of the gradient's global L2 norm (detail 11)
};

/// Moment estimates of P parameters and the number of steps taken.
struct AdamState {
  std::vector<float> first;   // [P]
  std::vector<float> second;  // [P]
  std::int64_t steps = 0;

  AdamState() = default;
  explicit AdamState(std::size_t num_params) : first(num_params), second(num_params) {}
};

/// L2 norm, accumulated in double in a fixed order. Not finite if any element is not.
[[nodiscard]] double l2_norm(std::span<const float> values) noexcept;

/// The factor by which a gradient of norm `norm` is multiplied: min(1, max_norm / (norm + 1e-6)).
[[nodiscard]] float clip_factor(double norm, double max_norm) noexcept;

/// The constants of step number `steps` (from 1) in single precision; the bias corrections are folded in, as
/// torch does: params -= step_size * first / (sqrt(second) * root_scale + epsilon).
struct AdamScalars {
  float beta1, beta2, rest1, rest2, epsilon, step_size, root_scale;
};
[[nodiscard]] AdamScalars adam_scalars(const AdamSettings& settings, std::int64_t steps) noexcept;

/// One step of Adam (Kingma & Ba 2015, algorithm 1) on `params` [P] with `gradient * factor`.
/// Agrees with torch::optim::Adam (no weight decay, no AMSGrad). Throws std::invalid_argument when sizes
/// disagree.
void adam_step(const AdamSettings& settings, std::span<const float> gradient, float factor, AdamState& state,
               std::span<float> params);

}  // namespace murmur
