#include "murmur/agents/rollout_collector.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "murmur/agents/non_finite.hpp"
#include "murmur/base/check.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {
namespace {

// Streams of the learner's seed; the envs draw from streams of their own.
constexpr std::uint64_t kActionStream = 0x616374;

// Bounds the memory of one critic pass; the result does not depend on it beyond rounding.
constexpr std::size_t kValueRows = 16384;

std::size_t head_width(const EnvSpec& spec) {
  return spec.action_kind == ActionKind::kDiscrete ? spec.num_actions : spec.action_dim;
}

std::size_t num_uniforms(const EnvSpec& spec, std::size_t num_envs) {
  if (spec.action_kind == ActionKind::kDiscrete) return num_envs;
  return 2 * kernels::num_gaussian_pairs(num_envs * spec.action_dim);
}

}  // namespace

RolloutCollector::RolloutCollector(std::unique_ptr<VectorEnv> env, const PpoConfig& config)
    : env_(std::move(env)),
      config_(config),
      action_rng_(config.local_seed, kActionStream),
      returns_(env_->num_envs(), static_cast<float>(config.gamma)),
      step_(env_->num_envs(), env_->spec().obs_dim),
      policy_(env_->num_envs() * head_width(env_->spec())),
      log_std_(env_->spec().action_kind == ActionKind::kDiscrete ? 0 : env_->spec().action_dim),
      uniforms_(num_uniforms(env_->spec(), env_->num_envs())),
      scratch_(kernels::kHeadScratch * head_width(env_->spec()) + uniforms_.size()) {
  env_->observe(step_.observations);
}

void RolloutCollector::collect(PpoBackend& backend, ModelMoments& moments, RolloutBuffer& buffer,
                               RolloutTally& tally) {
  const std::size_t obs_dim = env_->spec().obs_dim;
  const auto variants = static_cast<std::size_t>(std::ranges::max(env_->variant_of())) + 1;
  if (tally.variants.size() < variants) tally.variants.resize(variants);
  final_observations_.clear();
  final_positions_.clear();
  gaps_.clear();
  if (!log_std_.empty()) backend.log_std(log_std_);
  // Huang et al. 2022, detail 1: a fixed number of steps; episodes run on from one rollout to the next.
  for (std::size_t t = 0; t < buffer.shape().num_steps; ++t) {
    const std::span<const std::uint8_t> waiting = env_->waiting();
    waiting_.assign(waiting.begin(), waiting.end());
    require_sound("observation", step_.observations, obs_dim);
    moments.add_observations(of_episodes(step_.observations, obs_dim));
    const std::span<float> observations = buffer.at_step(buffer.observations, t, obs_dim);
    see(moments, step_.observations, observations);
    const std::span<float> actions = buffer.at_step(buffer.actions, t, env_->spec().action_dim);
    choose_actions(backend, observations, actions, buffer.at_step(buffer.log_probs, t));

    StepOutput out = step_.output();
    out.rewards = buffer.at_step(buffer.rewards, t);
    out.terminated = buffer.at_step(buffer.terminated, t);
    out.truncated = buffer.at_step(buffer.truncated, t);
    env_->step(actions, out);
    record_rewards(moments, buffer, t);
    record_endings(moments, buffer, t, tally);
  }
  fill_values(backend, moments, buffer);
  buffer.compute_advantages(static_cast<float>(config_.gamma), static_cast<float>(config_.gae_lambda));
  buffer.fill_gaps(gaps_, action_rng_);
}

void RolloutCollector::assign_variants(std::span<const EnvVariant> variants) {
  for (const std::size_t restarted : env_->assign_variants(variants)) returns_.restart(restarted);
  env_->observe(step_.observations);
}

void RolloutCollector::save(BlobWriter& writer) const {
  const RngState rng = action_rng_.state();
  writer.put("action_rng_state", rng.state);
  writer.put("action_rng_increment", rng.increment);
  writer.put("discounted_returns", returns_.values());
  env_->save(writer);
}

void RolloutCollector::load(BlobReader& reader) {
  const auto state = reader.get<std::uint64_t>("action_rng_state");
  const auto increment = reader.get<std::uint64_t>("action_rng_increment");
  std::vector<float> returns(env_->num_envs());
  reader.get("discounted_returns", returns);
  if (increment % 2 == 0) throw BlobError("field 'action_rng_increment' is even");
  if (!std::ranges::all_of(returns, [](float value) { return std::isfinite(value); })) {
    throw BlobError("field 'discounted_returns' holds a value that is not finite");
  }
  env_->load(reader);
  // Nothing below throws: all of the collector changes, or nothing.
  action_rng_ = Rng::from_state({state, increment});
  std::copy(returns.begin(), returns.end(), returns_.values().begin());
  if (!env_->saves_episodes()) returns_.restart_all();
  env_->observe(step_.observations);
}

void RolloutCollector::choose_actions(PpoBackend& backend, std::span<const float> observations,
                                      std::span<float> actions, std::span<float> log_probs) {
  backend.act(observations, policy_);
  require_finite("policy output", policy_, head_width(env_->spec()));
  for (float& u : uniforms_) u = action_rng_.uniform();
  const kernels::KernelSet& kernels = kernels::best_kernels();
  // Gaussian actions are unbounded here and clipped by the environment (Huang et al. 2022, continuous detail
  // 5).
  const auto sample = log_std_.empty() ? kernels.sample_categorical : kernels.sample_gaussian;
  sample({.rows = env_->num_envs(),
          .outputs = head_width(env_->spec()),
          .policy = policy_.data(),
          .log_std = log_std_.data(),
          .uniforms = uniforms_.data(),
          .actions = actions.data(),
          .log_probs = log_probs.data(),
          .scratch = scratch_.data()});
  // The state of an env that took such an action would be NaN for ever, whatever policy comes next.
  if (!log_std_.empty()) require_finite("action", actions, log_std_.size());
}

void RolloutCollector::record_rewards(ModelMoments& moments, RolloutBuffer& buffer, std::size_t step) {
  const std::span<float> rewards = buffer.at_step(buffer.rewards, step);
  require_sound("reward", rewards);
  const std::span<const float> returns = returns_.add(rewards);
  require_sound("discounted return", returns);
  moments.add_returns(of_episodes(returns, 1));
  returns_.end_episodes(buffer.at_step(buffer.terminated, step), buffer.at_step(buffer.truncated, step));
  // Huang et al. 2022, continuous details 8 and 9: reward scaling and clipping.
  const auto clip = static_cast<float>(config_.reward_clip);
  if (config_.normalize_rewards) {
    scale_rewards(rewards, moments.return_variance(), rewards,
                  clip > 0.0F ? clip : std::numeric_limits<float>::infinity());
  }
}

void RolloutCollector::record_endings(const ModelMoments& moments, const RolloutBuffer& buffer,
                                      std::size_t step, RolloutTally& tally) {
  const std::size_t obs_dim = env_->spec().obs_dim;
  const std::size_t row = step * env_->num_envs();
  for (std::size_t i = 0; i < env_->num_envs(); ++i) {
    if (!waiting_.empty() && waiting_[i] != 0) {
      gaps_.push_back(row + i);
      continue;
    }
    const bool terminated = buffer.terminated[row + i] != 0;
    const bool truncated = buffer.truncated[row + i] != 0;
    if (!terminated && !truncated) continue;
    const auto variant = static_cast<std::size_t>(env_->variant_of()[i]);
    for (EpisodeTally* sum : {&tally.total, &tally.variants[variant]})
      sum->add(step_.episode_returns[i], step_.episode_lengths[i]);
    if (terminated) continue;
    const auto last = std::span<const float>(step_.final_observations).subspan(i * obs_dim, obs_dim);
    require_sound("final observation", last, obs_dim);
    final_positions_.push_back(row + i);
    final_observations_.resize(final_positions_.size() * obs_dim);
    see(moments, last, std::span<float>(final_observations_).last(obs_dim));
  }
}

void RolloutCollector::fill_values(PpoBackend& backend, const ModelMoments& moments, RolloutBuffer& buffer) {
  // The critic runs once over the whole rollout and not beside the actor at each step: its dispatch cost is
  // paid once, and the parameters have not changed in between.
  const std::size_t obs_dim = env_->spec().obs_dim;
  const std::span<const float> observations(buffer.observations);
  const std::span<float> values(buffer.values);
  for (std::size_t begin = 0; begin < buffer.num_samples(); begin += kValueRows) {
    const std::size_t rows = std::min(kValueRows, buffer.num_samples() - begin);
    backend.value(observations.subspan(begin * obs_dim, rows * obs_dim), values.subspan(begin, rows));
  }
  std::vector<float> next(step_.observations.size());
  see(moments, step_.observations, next);
  backend.value(next, values.last(env_->num_envs()));
  final_values_.resize(final_positions_.size());
  if (!final_values_.empty()) backend.value(final_observations_, final_values_);
  require_finite("value of a final observation", final_values_);
  for (std::size_t k = 0; k < final_positions_.size(); ++k) {
    buffer.final_values[final_positions_[k]] = final_values_[k];
  }
  require_finite("value", buffer.values);
}

std::span<const float> RolloutCollector::of_episodes(std::span<const float> rows, std::size_t width) {
  if (std::ranges::find(waiting_, 1) == waiting_.end()) return rows;
  of_episodes_.clear();
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (waiting_[i] != 0) continue;
    const std::span<const float> row = rows.subspan(i * width, width);
    of_episodes_.insert(of_episodes_.end(), row.begin(), row.end());
  }
  return of_episodes_;
}

void RolloutCollector::require_sound(std::string_view what, std::span<const float> rows, std::size_t width) {
  try {
    require_finite(what, rows, width);
  } catch (const NonFiniteError&) {
    env_->reset(action_rng_.next_u64());
    returns_.restart_all();
    env_->observe(step_.observations);
    throw;
  }
}

void RolloutCollector::see(const ModelMoments& moments, std::span<const float> raw,
                           std::span<float> out) const {
  if (config_.normalize_observations) {
    moments.normalize(raw, out);
  } else {
    std::copy(raw.begin(), raw.end(), out.begin());
  }
}

}  // namespace murmur
