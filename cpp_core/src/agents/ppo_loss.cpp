#include "murmur/agents/ppo_loss.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "murmur/agents/policy_head.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

void check_shapes(const PpoBatch& batch, const PpoOutputs& outputs, const PpoOutputGradients& gradients) {
  const std::size_t n = batch.size();
  if (n == 0) throw_invalid("ppo_loss: the batch is empty");
  if (outputs.policy.empty() || outputs.policy.size() % n != 0) {
    throw_invalid("ppo_loss: " + std::to_string(outputs.policy.size()) +
                  " policy outputs do not divide into a batch of " + std::to_string(n));
  }
  const std::size_t width = outputs.policy.size() / n;
  const bool discrete = outputs.log_std.empty();
  check_size("actions", discrete ? n : n * width, batch.actions.size());
  if (!discrete) check_size("log_std", width, outputs.log_std.size());
  check_size("log_probs", n, batch.log_probs.size());
  check_size("advantages", n, batch.advantages.size());
  check_size("values", n, batch.values.size());
  check_size("predicted values", n, outputs.values.size());
  if (!batch.base_policy.empty()) {
    check_size("base_policy", n * width, batch.base_policy.size());
    check_size("base_log_std", outputs.log_std.size(), batch.base_log_std.size());
  }
  check_size("policy gradient", n * width, gradients.policy.size());
  check_size("log_std gradient", outputs.log_std.size(), gradients.log_std.size());
  check_size("value gradient", n, gradients.values.size());
}

/// Clipped surrogate (Huang et al. 2022, detail 8) of one sample; returns d(policy loss)/d(log prob), not yet
/// divided by B.
float surrogate(float advantage, float log_ratio, float clip_range, PpoLossStats& sum) {
  const float ratio = std::exp(log_ratio);
  const float unclipped = -advantage * ratio;
  const float clipped = -advantage * std::clamp(ratio, 1.0F - clip_range, 1.0F + clip_range);
  sum.policy_loss += static_cast<double>(std::max(unclipped, clipped));
  sum.approx_kl += static_cast<double>(ratio) - 1.0 - static_cast<double>(log_ratio);
  sum.clip_fraction += std::abs(ratio - 1.0F) > clip_range ? 1.0 : 0.0;
  // d ratio / d log prob = ratio. Written so that NaN falls through and is seen.
  return clipped > unclipped ? 0.0F : unclipped;
}

/// Value loss of one sample, clipped (detail 9) if `clip` > 0; returns d(value loss)/d(value), not yet
/// divided by B.
float value_error(float value, float old_value, float target, float clip, PpoLossStats& sum) {
  const float error = value - target;
  const float loss = error * error;
  if (clip <= 0.0F) {
    sum.value_loss += 0.5 * static_cast<double>(loss);
    return error;
  }
  const float shift = value - old_value;
  const float clipped_error = old_value + std::clamp(shift, -clip, clip) - target;
  const float clipped_loss = clipped_error * clipped_error;
  sum.value_loss += 0.5 * static_cast<double>(std::max(loss, clipped_loss));
  const float inside = std::abs(shift) <= clip ? clipped_error : 0.0F;
  if (loss < clipped_loss) return inside;
  // At a tie, the subgradient that automatic differentiation of max takes.
  if (loss == clipped_loss) return 0.5F * (error + inside);
  return error;
}

/// One sample of a categorical head: `row` holds logits [A], `grad` receives d loss / d logits.
void categorical_sample(std::span<const float> row, float action, float old_log_prob, float advantage,
                        const PpoLossSettings& settings, float inverse_n, std::span<float> grad,
                        PpoLossStats& sum) {
  const float entropy = log_softmax(row, grad);  // `grad` holds the log-probabilities until the loop below
  sum.entropy += static_cast<double>(entropy);
  const auto choice = static_cast<std::size_t>(action);
  const float slope = surrogate(advantage, grad[choice] - old_log_prob, settings.clip_range, sum);
  for (std::size_t j = 0; j < row.size(); ++j) {
    const float log_p = grad[j];
    const float p = std::exp(log_p);
    // d log p_a / d z_j = 1[j = a] - p_j ;  d H / d z_j = -p_j (log p_j + H)
    grad[j] = inverse_n *
              (slope * ((j == choice ? 1.0F : 0.0F) - p) + settings.entropy_coef * p * (log_p + entropy));
  }
}

/// One sample of a Gaussian head: `mean`, `action` [A]; writes d loss / d mean, adds d loss / d log_std.
void gaussian_sample(const GaussianScale& gaussian, std::span<const float> mean,
                     std::span<const float> action, float old_log_prob, float advantage,
                     const PpoLossSettings& settings, float inverse_n, std::span<float> grad,
                     std::span<float> grad_log_std, PpoLossStats& sum) {
  const float log_prob = gaussian.log_prob(mean, action);
  const float slope = inverse_n * surrogate(advantage, log_prob - old_log_prob, settings.clip_range, sum);
  for (std::size_t j = 0; j < mean.size(); ++j) {
    const float z = (action[j] - mean[j]) * gaussian.inverse_std(j);
    grad[j] = slope * z * gaussian.inverse_std(j);  // d log p / d mean = z / std
    grad_log_std[j] += slope * (z * z - 1.0F);      // d log p / d log_std = z^2 - 1
  }
}

/// KL(base || policy) of one sample of a categorical head, from logits `base`, `row` [A]; adds `weight` times
/// its gradient to `grad` and returns it. `base_log_p`, `log_p`: memory, [A].
double categorical_kl(std::span<const float> base, std::span<const float> row, float weight,
                      std::span<float> base_log_p, std::span<float> log_p, std::span<float> grad) {
  log_softmax(base, base_log_p);
  log_softmax(row, log_p);
  double kl = 0.0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    const float base_p = std::exp(base_log_p[j]);
    kl += static_cast<double>(base_p * (base_log_p[j] - log_p[j]));
    grad[j] += weight * (std::exp(log_p[j]) - base_p);  // d KL / d z_j = p_j - base_p_j
  }
  return kl;
}

/// The same of a Gaussian head: means `base`, `mean` [A] and log standard deviations [A].
double gaussian_kl(std::span<const float> base, std::span<const float> base_log_std,
                   std::span<const float> mean, std::span<const float> log_std, float weight,
                   std::span<float> grad, std::span<float> grad_log_std) {
  double kl = 0.0;
  for (std::size_t j = 0; j < mean.size(); ++j) {
    const float inverse_std = std::exp(-log_std[j]);
    const float z = (mean[j] - base[j]) * inverse_std;
    const float shrink = base_log_std[j] - log_std[j];
    const float variance_ratio = std::exp(2.0F * shrink);
    kl += 0.5 * static_cast<double>(variance_ratio - 1.0F + z * z) - static_cast<double>(shrink);
    grad[j] += weight * z * inverse_std;
    grad_log_std[j] += weight * (1.0F - variance_ratio - z * z);
  }
  return kl;
}

}  // namespace

PpoLossStats mean_loss(const PpoLossStats& sums, std::size_t n, const PpoLossSettings& settings) noexcept {
  const double scale = 1.0 / static_cast<double>(n);
  PpoLossStats mean{.policy_loss = sums.policy_loss * scale,
                    .value_loss = sums.value_loss * scale,
                    .entropy = sums.entropy * scale,
                    .approx_kl = sums.approx_kl * scale,
                    .clip_fraction = sums.clip_fraction * scale,
                    .base_kl = sums.base_kl * scale};
  // Detail 10: one loss for policy, entropy bonus and value.
  mean.loss = mean.policy_loss - static_cast<double>(settings.entropy_coef) * mean.entropy +
              static_cast<double>(settings.value_coef) * mean.value_loss +
              static_cast<double>(settings.kl_penalty) * mean.base_kl;
  return mean;
}

void add_share(PpoLossStats& mean, const PpoLossStats& x, double share) noexcept {
  mean.loss += share * x.loss;
  mean.policy_loss += share * x.policy_loss;
  mean.value_loss += share * x.value_loss;
  mean.entropy += share * x.entropy;
  mean.approx_kl += share * x.approx_kl;
  mean.clip_fraction += share * x.clip_fraction;
  mean.base_kl += share * x.base_kl;
}

std::string describe_non_finite(const PpoLossStats& stats) {
  return "is not finite: policy " + std::to_string(stats.policy_loss) + ", value " +
         std::to_string(stats.value_loss) + ", entropy " + std::to_string(stats.entropy) + ", approx_kl " +
         std::to_string(stats.approx_kl) + ", base_kl " + std::to_string(stats.base_kl);
}

void normalize_advantages(std::span<const float> advantages, bool enabled, std::span<float> out) {
  // One sample has no spread: normalising would make its advantage zero and waste the step.
  if (!enabled || advantages.size() < 2) {
    std::ranges::copy(advantages, out.begin());
    return;
  }
  constexpr std::size_t kLanes = 8;  // fixed, for a sum that vectorises and never depends on the machine
  const auto n = static_cast<double>(advantages.size());
  auto sum = [&](auto term) {
    double lane[kLanes] = {};
    const std::size_t whole = advantages.size() - advantages.size() % kLanes;
    for (std::size_t i = 0; i < whole; i += kLanes) {
      for (std::size_t k = 0; k < kLanes; ++k) lane[k] += term(static_cast<double>(advantages[i + k]));
    }
    double total = 0.0;
    for (const double x : lane) total += x;
    for (std::size_t i = whole; i < advantages.size(); ++i) total += term(static_cast<double>(advantages[i]));
    return total;
  };
  const double mean = sum([](double a) { return a; }) / n;
  const double squares = sum([mean](double a) { return (a - mean) * (a - mean); });
  const double inverse_std = 1.0 / (std::sqrt(squares / (n - 1.0)) + 1e-8);  // unbiased, as torch.std
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>((static_cast<double>(advantages[i]) - mean) * inverse_std);
}

PpoLossStats ppo_loss(const PpoLossSettings& settings, const PpoBatch& batch, const PpoOutputs& outputs,
                      const PpoOutputGradients& gradients) {
  check_shapes(batch, outputs, gradients);
  const std::size_t n = batch.size();
  const std::size_t width = outputs.policy.size() / n;
  const bool discrete = outputs.log_std.empty();
  const float inverse_n = 1.0F / static_cast<float>(n);
  std::vector<float> advantages(n);
  normalize_advantages(batch.advantages, settings.normalize_advantages, advantages);
  const GaussianScale gaussian(outputs.log_std);

  std::vector<float> base_log_p(width), log_p(width);
  PpoLossStats sum;
  // d H / d log_std = 1 for every sample alike
  std::fill(gradients.log_std.begin(), gradients.log_std.end(), -settings.entropy_coef);
  for (std::size_t i = 0; i < n; ++i) {
    const float advantage = advantages[i];
    const std::span<const float> row = outputs.policy.subspan(i * width, width);
    const std::span<float> grad = gradients.policy.subspan(i * width, width);
    if (discrete) {
      categorical_sample(row, batch.actions[i], batch.log_probs[i], advantage, settings, inverse_n, grad,
                         sum);
    } else {
      gaussian_sample(gaussian, row, batch.actions.subspan(i * width, width), batch.log_probs[i], advantage,
                      settings, inverse_n, grad, gradients.log_std, sum);
    }
    if (!batch.base_policy.empty()) {
      const std::span<const float> base = batch.base_policy.subspan(i * width, width);
      const float weight = settings.kl_penalty * inverse_n;
      sum.base_kl += discrete ? categorical_kl(base, row, weight, base_log_p, log_p, grad)
                              : gaussian_kl(base, batch.base_log_std, row, outputs.log_std, weight, grad,
                                            gradients.log_std);
    }
    const float error =
        value_error(outputs.values[i], batch.values[i], batch.returns[i], settings.value_clip_range, sum);
    gradients.values[i] = settings.value_coef * inverse_n * error;
  }
  if (!discrete) sum.entropy = static_cast<double>(n) * gaussian.entropy();
  return mean_loss(sum, n, settings);
}

}  // namespace murmur
