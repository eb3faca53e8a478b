/// The two action distributions on one row: the PPO loss with its gradient in closed form, and sampling.
/// The formulas are those of agents/ppo_loss.cpp.
#pragma once

#include "cuda/math.hpp"
#include "murmur/base/rng.hpp"

namespace murmur::cuda {

inline constexpr float kHalfLogTwoPi = 0.918938533204672742F;

/// Coefficients of the loss of one minibatch.
struct LossSettings {
  float clip_range, value_clip_range, entropy_coef, value_coef, inverse_n;
  float kl_penalty;  // 0: there is no base policy
};

/// Terms of one sample; sums over samples are taken in double.
struct PolicyTerms {
  float policy_loss, entropy, approx_kl, clipped, base_kl;
};
struct ValueTerm {
  float loss, slope;
};

/// The clipped surrogate; sets `terms` but `entropy` and `base_kl`, and returns d loss / d log p, not yet
/// divided by B.
MURMUR_HOST_DEVICE inline float surrogate(float log_ratio, float advantage, float clip_range,
                                          PolicyTerms& terms) noexcept {
  const ExpResult e = exp_with_excess(log_ratio);
  const float ratio = e.value;
  const float unclipped = -advantage * ratio;
  const float clipped = -advantage * clamp(ratio, 1.0F - clip_range, 1.0F + clip_range);
  terms.policy_loss = unclipped < clipped ? clipped : unclipped;
  // (r - 1) - log r loses all its digits near r = 1, where most samples are; the excess does not.
  terms.approx_kl = absolute(log_ratio) < 0.34F ? e.excess : (ratio - 1.0F) - log_ratio;
  terms.clipped = clip_range < absolute(ratio - 1.0F) ? 1.0F : 0.0F;
  return unclipped < clipped ? 0.0F : unclipped;  // NaN falls through and is seen
}

/// log p_j = logits[j] - top - log_sum
struct Softmax {
  float top, log_sum, inverse_sum;

  MURMUR_HOST_DEVICE Softmax(const float* logits, int outputs) noexcept : top(logits[0]) {
    for (int j = 1; j < outputs; ++j) top = logits[j] < top ? top : logits[j];
    float sum = 0.0F;
    for (int j = 0; j < outputs; ++j) sum += exp(logits[j] - top);
    log_sum = log(sum);
    inverse_sum = 1.0F / sum;
  }
  [[nodiscard]] MURMUR_HOST_DEVICE float log_p(float logit) const noexcept { return (logit - top) - log_sum; }
  [[nodiscard]] MURMUR_HOST_DEVICE float p(float logit) const noexcept {
    return exp(logit - top) * inverse_sum;
  }
};

/// One sample of a categorical head: writes d loss / d logits [outputs].
MURMUR_HOST_DEVICE inline PolicyTerms categorical_loss(const LossSettings& settings, const float* logits,
                                                       int outputs, float action, float old_log_prob,
                                                       float advantage, float* gradient) noexcept {
  const Softmax head(logits, outputs);
  const int choice = static_cast<int>(action);
  PolicyTerms terms{};
  for (int j = 0; j < outputs; ++j)
    terms.entropy = fma(-head.p(logits[j]), head.log_p(logits[j]), terms.entropy);
  const float slope =
      surrogate(head.log_p(logits[choice]) - old_log_prob, advantage, settings.clip_range, terms);
  for (int j = 0; j < outputs; ++j) {
    const float p = head.p(logits[j]);
    // d log p_a / d z_j = 1[j = a] - p_j ;  d H / d z_j = -p_j (log p_j + H)
    const float bonus = settings.entropy_coef * p * (head.log_p(logits[j]) + terms.entropy);
    gradient[j] = settings.inverse_n * fma(slope, (j == choice ? 1.0F : 0.0F) - p, bonus);
  }
  return terms;
}

/// KL(base || policy) of one sample of a categorical head; adds the penalty's part to its gradient.
MURMUR_HOST_DEVICE inline float add_categorical_kl(const LossSettings& settings, const float* base_logits,
                                                   const float* logits, int outputs,
                                                   float* gradient) noexcept {
  const Softmax base(base_logits, outputs), head(logits, outputs);
  float kl = 0.0F;
  for (int j = 0; j < outputs; ++j) {
    const float base_p = base.p(base_logits[j]);
    kl = fma(base_p, base.log_p(base_logits[j]) - head.log_p(logits[j]), kl);
    // d KL / d z_j = p_j - base_p_j
    gradient[j] = fma(settings.kl_penalty * settings.inverse_n, head.p(logits[j]) - base_p, gradient[j]);
  }
  return kl;
}

/// log p(action | mean) of a diagonal Gaussian.
MURMUR_HOST_DEVICE inline float gaussian_log_prob(const float* log_std, const float* means,
                                                  const float* actions, int outputs) noexcept {
  float normalizer = 0.0F;
  for (int j = 0; j < outputs; ++j) normalizer += log_std[j] + kHalfLogTwoPi;
  float sum = -normalizer;
  for (int j = 0; j < outputs; ++j) {
    const float z = (actions[j] - means[j]) * exp(-log_std[j]);
    sum = fma(-0.5F * z, z, sum);
  }
  return sum;
}

/// One sample of a Gaussian head: writes d loss / d mean [outputs] and the surrogate's d loss / d log_std.
MURMUR_HOST_DEVICE inline PolicyTerms gaussian_loss(const LossSettings& settings, const float* log_std,
                                                    const float* means, int outputs, const float* actions,
                                                    float old_log_prob, float advantage, float* gradient,
                                                    float* log_std_gradient) noexcept {
  PolicyTerms terms{};
  const float log_prob = gaussian_log_prob(log_std, means, actions, outputs);
  const float slope =
      settings.inverse_n * surrogate(log_prob - old_log_prob, advantage, settings.clip_range, terms);
  for (int j = 0; j < outputs; ++j) {
    const float inverse_std = exp(-log_std[j]);
    const float z = (actions[j] - means[j]) * inverse_std;
    gradient[j] = slope * z * inverse_std;           // d log p / d mean = z / std
    log_std_gradient[j] = slope * fma(z, z, -1.0F);  // d log p / d log_std = z^2 - 1
    terms.entropy += log_std[j] + kHalfLogTwoPi + 0.5F;
  }
  return terms;
}

/// KL(base || policy) of one sample of a Gaussian head; adds the penalty's part to its gradients.
MURMUR_HOST_DEVICE inline float add_gaussian_kl(const LossSettings& settings, const float* base_log_std,
                                                const float* base_means, const float* log_std,
                                                const float* means, int outputs, float* gradient,
                                                float* log_std_gradient) noexcept {
  const float weight = settings.kl_penalty * settings.inverse_n;
  float kl = 0.0F;
  for (int j = 0; j < outputs; ++j) {
    const float inverse_std = exp(-log_std[j]);
    const float z = (means[j] - base_means[j]) * inverse_std;
    const float shrink = base_log_std[j] - log_std[j];
    const float variance_ratio = exp(2.0F * shrink);
    kl += fma(0.5F, fma(z, z, variance_ratio - 1.0F), -shrink);
    // d KL / d mean = z / std ;  d KL / d log_std = 1 - ratio - z^2
    gradient[j] = fma(weight * z, inverse_std, gradient[j]);
    log_std_gradient[j] = fma(weight, 1.0F - fma(z, z, variance_ratio), log_std_gradient[j]);
  }
  return kl;
}

/// Half the squared error, clipped if `value_clip_range` > 0; the slope is not yet scaled.
MURMUR_HOST_DEVICE inline ValueTerm value_loss(const LossSettings& settings, float value, float old_value,
                                               float target) noexcept {
  const float error = value - target;
  const float loss = error * error;
  const float clip = settings.value_clip_range;
  if (!(clip > 0.0F)) return {0.5F * loss, error};
  const float shift = value - old_value;
  const float clipped = old_value + clamp(shift, -clip, clip) - target;
  const float clipped_loss = clipped * clipped;
  const float inside = clip < absolute(shift) ? 0.0F : clipped;
  if (loss < clipped_loss) return {0.5F * clipped_loss, inside};
  // At a tie, the subgradient that automatic differentiation of max takes.
  return {0.5F * loss, loss == clipped_loss ? 0.5F * (error + inside) : error};
}

/// Draw a choice into `action` and return its log-probability.
MURMUR_HOST_DEVICE inline float sample_categorical(const float* logits, int outputs, Rng& rng,
                                                   float* action) noexcept {
  const Softmax head(logits, outputs);
  const float uniform = rng.uniform();
  // Inverts the cumulative distribution: the choice is how many of its first A - 1 values are not above u.
  float cumulative = 0.0F;
  int choice = 0;
  for (int j = 0; j + 1 < outputs; ++j) {
    cumulative += head.p(logits[j]);
    choice += uniform < cumulative ? 0 : 1;
  }
  *action = static_cast<float>(choice);
  return head.log_p(logits[choice]);
}

/// Draw an action [outputs] (Box and Muller 1958; the second number of a pair is dropped, so that a draw is a
/// pure function of the stream) and return its log-probability.
MURMUR_HOST_DEVICE inline float sample_gaussian(const float* log_std, const float* means, int outputs,
                                                Rng& rng, float* action) noexcept {
  for (int j = 0; j < outputs; ++j) {
    const float radius = square_root(-2.0F * log(1.0F - rng.uniform()));  // 1 - u is in (0, 1]
    action[j] = fma(exp(log_std[j]), radius * cosine_of_turns(rng.uniform()), means[j]);
  }
  return gaussian_log_prob(log_std, means, action, outputs);
}

}  // namespace murmur::cuda
