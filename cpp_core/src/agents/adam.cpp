#include "murmur/agents/adam.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace murmur {

double l2_norm(std::span<const float> values) noexcept {
  // Eight fixed lanes: wide enough to vectorise, and the order of additions never depends on the machine.
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  const std::size_t whole = values.size() - values.size() % kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double v = values[i + lane];
      lanes[lane] += v * v;
    }
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  for (std::size_t i = whole; i < values.size(); ++i)
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return std::sqrt(sum);
}

float clip_factor(double norm, double max_norm) noexcept {
  return static_cast<float>(std::min(1.0, max_norm / (norm + 1e-6)));
}

AdamScalars adam_scalars(const AdamSettings& settings, std::int64_t steps) noexcept {
  const auto t = static_cast<double>(steps);
  return {
      .beta1 = static_cast<float>(settings.beta1),
      .beta2 = static_cast<float>(settings.beta2),
      .rest1 = static_cast<float>(1.0 - settings.beta1),
      .rest2 = static_cast<float>(1.0 - settings.beta2),
      .epsilon = static_cast<float>(settings.epsilon),
      .step_size = static_cast<float>(settings.learning_rate / (1.0 - std::pow(settings.beta1, t))),
      .root_scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(settings.beta2, t))),
  };
}

void adam_step(const AdamSettings& settings, std::span<const float> gradient, float factor, AdamState& state,
               std::span<float> params) {
  const std::size_t n = params.size();
  if (gradient.size() != n || state.first.size() != n || state.second.size() != n) {
    throw std::invalid_argument("adam_step: " + std::to_string(n) + " parameters, but " +
                                std::to_string(gradient.size()) + " gradients and " +
                                std::to_string(state.first.size()) + " moments");
  }
  ++state.steps;
  const auto [beta1, beta2, rest1, rest2, epsilon, step_size, root_scale] =
      adam_scalars(settings, state.steps);
  const float* const g = gradient.data();
  float* const m = state.first.data();
  float* const v = state.second.data();
  float* const p = params.data();
  for (std::size_t i = 0; i < n; ++i) {
    const float clipped = g[i] * factor;
    m[i] = beta1 * m[i] + rest1 * clipped;
    v[i] = beta2 * v[i] + rest2 * clipped * clipped;
    p[i] -= step_size * m[i] / (std::sqrt(v[i]) * root_scale + epsilon);
  }
}

}  // namespace murmur
