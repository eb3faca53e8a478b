/// The PPO loss and its gradient with respect to the network's outputs, in closed form.
///
/// For the small heads that RL uses, one loop over the samples costs far less than the twenty tensor
/// operations of the same loss; back ends then only push these gradients through their network.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace murmur {

/// Coefficients of the loss (a slice of PpoConfig, at the current point of its schedules).
struct PpoLossSettings {
  float clip_range = 0.2F;
  float value_clip_range = 0.2F;  ///< 0 = off
  float entropy_coef = 0.0F;
  float value_coef = 0.5F;
  bool normalize_advantages = true;
  float kl_penalty = 0.0F;  ///< weight of the KL divergence from `PpoBatch::base_policy`, where there is one
};

/// B samples of a rollout, as the behaviour policy left them.
struct PpoBatch {
  std::span<const float> observations;  // [B, D], normalised
  std::span<const float> actions;  // discrete: [B], the index; continuous: [B, A], before clipping to bounds
  std::span<const float> log_probs;   // [B], of the behaviour policy
  std::span<const float> advantages;  // [B]
  std::span<const float> returns;     // [B]
  std::span<const float> values;      // [B], predicted by the behaviour critic
  // What the policy that `kl_penalty` holds on to says of these observations; empty: there is none.
  std::span<const float> base_policy{};   // [B, A]: logits or means
  std::span<const float> base_log_std{};  // [A], continuous only

  [[nodiscard]] std::size_t size() const noexcept { return returns.size(); }
};

/// What the network says about the batch now.
struct PpoOutputs {
  std::span<const float> policy;   // [B, A]: logits if discrete, means if continuous
  std::span<const float> log_std;  // [A], continuous only
  std::span<const float> values;   // [B]
};

/// d loss / d outputs; every element is written.
struct PpoOutputGradients {
  std::span<float> policy;   // [B, A]
  std::span<float> log_std;  // [A], continuous only
  std::span<float> values;   // [B]
};

struct PpoLossStats {
  double loss = 0.0;  ///< what the gradient is of: the terms below with their coefficients
  double policy_loss = 0.0;
  double value_loss = 0.0;  ///< mean of half the squared error, before `value_coef`
  double entropy = 0.0;     ///< nats, mean over samples
  double approx_kl = 0.0;   ///< mean of (r - 1) - log r (Schulman 2020, "Approximating KL Divergence", k3)
  double clip_fraction = 0.0;
  double base_kl = 0.0;  ///< nats, mean of KL(base || policy); 0 without a base policy
};

/// Return the means over `n` samples whose sums these are, and in `loss` what they come to with `settings`.
[[nodiscard]] PpoLossStats mean_loss(const PpoLossStats& sums, std::size_t n,
                                     const PpoLossSettings& settings) noexcept;

/// mean += share * x, in every field.
void add_share(PpoLossStats& mean, const PpoLossStats& x, double share) noexcept;

/// "is not finite: policy ..., value ..." for the message of a NonFiniteError.
[[nodiscard]] std::string describe_non_finite(const PpoLossStats& stats);

/// Shift and scale `advantages` [B] to mean 0 and standard deviation 1 (Huang et al. 2022, detail 7) into
/// `out` [B]; or copy them, when that is not `enabled` or there is one alone.
void normalize_advantages(std::span<const float> advantages, bool enabled, std::span<float> out);

/// Compute the loss over the batch and its gradient with respect to `outputs`.
///
///   L = mean max(-A r, -A clip(r, 1 +- c))  -  entropy_coef * mean H  +  value_coef * mean V
///       +  kl_penalty * mean KL(base || policy)
///   V = 1/2 max((v - R)^2, (v_old + clip(v - v_old, +- c_v) - R)^2)
/// with r the probability ratio (Schulman et al. 2017, eq. 7 and 9; V as in Huang et al. 2022, detail 9).
/// Advantages are normalised within the minibatch (detail 7) when it has at least two samples. The last term
/// is the global penalty of Xie & Song 2022, "FedKL: Tackling Data Heterogeneity in Federated Reinforcement
/// Learning by Penalizing KL Divergence": it keeps local training near the policy that the peers agreed on,
/// in the space of distributions (docs/adr/0012). Throws std::invalid_argument when the shapes disagree.
PpoLossStats ppo_loss(const PpoLossSettings& settings, const PpoBatch& batch, const PpoOutputs& outputs,
                      const PpoOutputGradients& gradients);

}  // namespace murmur
