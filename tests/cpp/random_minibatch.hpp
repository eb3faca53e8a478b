/// Random networks and the minibatches that a behaviour policy near them would have left.
#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <vector>

#include "murmur/agents/policy_head.hpp"
#include "murmur/agents/policy_init.hpp"
#include "murmur/agents/policy_layout.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/rng.hpp"

namespace murmur::testing {

/// Orthogonal parameters, moved by noise so that no bias, log_std or head output is near zero.
inline std::vector<float> random_params(const PolicyLayout& layout, Rng& rng, float noise = 0.05F) {
  std::vector<float> params(layout.num_params());
  initialize_params(layout, rng.next_u32(), params);
  for (float& p : params) p += rng.uniform(-noise, noise);
  return params;
}

/// A choice, drawn by inverting the cumulative distribution.
inline std::size_t draw_choice(std::span<const float> log_probs, Rng& rng) {
  const float target = rng.uniform();
  float cumulative = 0.0F;
  for (std::size_t j = 0; j + 1 < log_probs.size(); ++j) {
    cumulative += std::exp(log_probs[j]);
    if (target < cumulative) return j;
  }
  return log_probs.size() - 1;
}

/// A standard normal number (Box and Muller 1958).
inline float draw_normal(Rng& rng) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.uniform_double()));  // 1 - u is in (0, 1]
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * rng.uniform_double()));
}

struct Minibatch {
  /// `n` samples whose actions `behaviour` chose; log-probabilities are off by up to `drift` nats.
  Minibatch(const PolicyLayout& layout, PpoBackend& behaviour, std::size_t n, Rng& rng, float drift = 0.0F) {
    const PolicySpec& spec = layout.spec();
    std::vector<float> policy(n * spec.action_dim), log_std(layout.log_std_size()), row(spec.action_dim);
    for (std::size_t i = 0; i < n * spec.obs_dim; ++i) observations.push_back(rng.uniform(-2.0F, 2.0F));
    values.resize(n);
    behaviour.act(observations, policy);
    behaviour.log_std(log_std);
    behaviour.value(observations, values);
    actions.resize(spec.discrete ? n : n * spec.action_dim);
    const GaussianScale gaussian(log_std);
    for (std::size_t i = 0; i < n; ++i) {
      const auto head = std::span<const float>(policy).subspan(i * spec.action_dim, spec.action_dim);
      if (spec.discrete) {
        log_softmax(head, row);
        const std::size_t choice = draw_choice(row, rng);
        actions[i] = static_cast<float>(choice);
        log_probs.push_back(row[choice]);
      } else {
        const auto action = std::span<float>(actions).subspan(i * spec.action_dim, spec.action_dim);
        for (std::size_t j = 0; j < head.size(); ++j)
          action[j] = head[j] + std::exp(log_std[j]) * draw_normal(rng);
        log_probs.push_back(gaussian.log_prob(head, action));
      }
      log_probs.back() += rng.uniform(-drift, drift);
      advantages.push_back(rng.uniform(-2.0F, 3.0F));
      returns.push_back(values[i] + rng.uniform(-1.0F, 1.0F));
      values[i] += rng.uniform(-drift, drift);
    }
  }
  /// Hold on to the policy that `base` has now.
  void set_base(const PolicyLayout& layout, PpoBackend& base) {
    base_policy.resize(returns.size() * layout.spec().action_dim);
    base_log_std.resize(layout.log_std_size());
    base.act(observations, base_policy);
    base.log_std(base_log_std);
  }
  [[nodiscard]] PpoBatch batch() const {
    return {observations, actions, log_probs, advantages, returns, values, base_policy, base_log_std};
  }

  std::vector<float> observations, actions, log_probs, advantages, returns, values, base_policy, base_log_std;
};

/// The gradient that `backend` computes for `batch`, read out of Adam's first moment. Takes one step.
inline std::vector<float> gradient_of(PpoBackend& backend, const PolicyLayout& layout, const PpoBatch& batch,
                                      const PpoLossSettings& loss) {
  backend.set_optimizer_state(AdamState(layout.num_params()));
  backend.step(batch, loss, {.beta1 = 0.0, .max_grad_norm = 1e30}, 0.0);
  return backend.optimizer_state().first;
}

inline std::vector<float> params_of(const PpoBackend& backend, const PolicyLayout& layout) {
  std::vector<float> params(layout.num_params());
  backend.get_params(params);
  return params;
}

}  // namespace murmur::testing
