#include "murmur/agents/ppo_update.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

namespace murmur {
namespace {

double variance(std::span<const float> x, std::span<const float> minus = {}) {
  const auto n = static_cast<double>(x.size());
  auto at = [&](std::size_t i) {
    return static_cast<double>(x[i]) - static_cast<double>(minus.empty() ? 0.0F : minus[i]);
  };
  double mean = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) mean += at(i);
  mean /= n;
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (at(i) - mean) * (at(i) - mean);
  return sum / n;
}

double explained_variance(const RolloutBuffer& rollout) {
  const double total = variance(rollout.returns);
  if (!(total > 0.0)) return std::numeric_limits<double>::quiet_NaN();
  return 1.0 - variance(rollout.returns, std::span(rollout.values).first(rollout.num_samples())) / total;
}

PpoLossStats mean_of(const std::vector<PpoLossStats>& minibatches) {
  PpoLossStats mean;
  for (const PpoLossStats& stats : minibatches)
    add_share(mean, stats, 1.0 / static_cast<double>(minibatches.size()));
  return mean;
}

/// What is left of a quantity: all of it, or falling to nothing in a straight line.
double share_left(Schedule schedule, const PpoConfig& config, std::int64_t env_steps) noexcept {
  if (schedule == Schedule::kConstant) return 1.0;
  const double done = static_cast<double>(env_steps) / static_cast<double>(config.schedule_env_steps);
  return std::max(0.0, 1.0 - done);
}

}  // namespace

double scheduled_learning_rate(const PpoConfig& config, std::int64_t env_steps) noexcept {
  // Huang et al. 2022, detail 4: linear annealing to zero.
  return config.learning_rate * share_left(config.lr_schedule, config, env_steps);
}

double scheduled_clip_range(const PpoConfig& config, std::int64_t env_steps) noexcept {
  // Huang et al. 2022, auxiliary detail 1: clip range annealing. The value's clip range stays, as in SB3.
  return config.clip_range * share_left(config.clip_schedule, config, env_steps);
}

PpoLossSettings scheduled_loss(const PpoConfig& config, std::int64_t env_steps) noexcept {
  return {.clip_range = static_cast<float>(scheduled_clip_range(config, env_steps)),
          .value_clip_range = static_cast<float>(config.value_clip_range),
          .entropy_coef = static_cast<float>(config.entropy_coef),
          .value_coef = static_cast<float>(config.value_coef),
          .normalize_advantages = config.normalize_advantages,
          .kl_penalty = static_cast<float>(config.kl_penalty)};
}

AdamSettings scheduled_adam(const PpoConfig& config, std::int64_t env_steps) noexcept {
  return {.learning_rate = scheduled_learning_rate(config, env_steps),
          .beta1 = config.adam_beta1,
          .beta2 = config.adam_beta2,
          .epsilon = config.adam_epsilon,
          .max_grad_norm = config.max_grad_norm};
}

double kl_limit(const PpoConfig& config) noexcept {
  // Huang et al. 2022, auxiliary detail 3: early stopping; at 1.5 times the target, checked before each step,
  // as Stable-Baselines3 does.
  return 1.5 * config.target_kl;
}

PpoUpdate::PpoUpdate(const PpoConfig& config, const RolloutShape& shape)
    : config_(config),
      obs_dim_(shape.obs_dim),
      action_dim_(shape.action_dim),
      order_(shape.num_steps * shape.num_envs) {
  const auto batch = static_cast<std::size_t>(config.minibatch_size);
  observations_.resize(batch * obs_dim_);
  actions_.resize(batch * action_dim_);
  for (auto* array : {&log_probs_, &advantages_, &returns_, &values_}) array->resize(batch);
}

UpdateStats PpoUpdate::run(PpoBackend& backend, const RolloutBuffer& rollout, const PolicyOutputs& base,
                           std::int64_t env_steps, Rng& shuffle_rng) {
  const PpoLossSettings loss = scheduled_loss(config_, env_steps);
  const AdamSettings adam = scheduled_adam(config_, env_steps);
  const double max_kl = kl_limit(config_);
  UpdateStats stats;
  std::iota(order_.begin(), order_.end(), 0U);
  std::vector<PpoLossStats> minibatches;
  for (std::int64_t epoch = 0; epoch < config_.epochs && !stats.stopped_early; ++epoch) {
    minibatches.clear();
    shuffle(shuffle_rng);  // detail 6: every sample once per epoch, in new minibatches
    for (std::size_t begin = 0; begin < order_.size(); begin += returns_.size()) {
      minibatches.push_back(backend.step(gather(rollout, base, begin), loss, adam, max_kl));
      stats.stopped_early = max_kl > 0.0 && minibatches.back().approx_kl > max_kl;
      if (stats.stopped_early) break;
      ++stats.optimizer_steps;
    }
  }
  stats.last_epoch = mean_of(minibatches);  // detail 12: what tells a person that it goes wrong
  stats.explained_variance = explained_variance(rollout);
  return stats;
}

void PpoUpdate::shuffle(Rng& rng) noexcept {
  for (std::size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[rng.below(i)]);  // Fisher-Yates
}

PpoBatch PpoUpdate::gather(const RolloutBuffer& rollout, const PolicyOutputs& base, std::size_t begin) {
  const std::size_t width = base.policy.size() / order_.size();
  base_policy_.resize(returns_.size() * width);
  for (std::size_t row = 0; row < returns_.size(); ++row) {
    const std::size_t from = order_[begin + row];
    // Plain loops: rows of a few floats are copied before a call of memmove has begun.
    for (std::size_t k = 0; k < obs_dim_; ++k)
      observations_[row * obs_dim_ + k] = rollout.observations[from * obs_dim_ + k];
    for (std::size_t k = 0; k < action_dim_; ++k)
      actions_[row * action_dim_ + k] = rollout.actions[from * action_dim_ + k];
    log_probs_[row] = rollout.log_probs[from];
    advantages_[row] = rollout.advantages[from];
    returns_[row] = rollout.returns[from];
    values_[row] = rollout.values[from];
    for (std::size_t k = 0; k < width; ++k) base_policy_[row * width + k] = base.policy[from * width + k];
  }
  return {observations_, actions_, log_probs_, advantages_, returns_, values_, base_policy_, base.log_std};
}

}  // namespace murmur
