#include "murmur/agents/ppo_agent.hpp"

#include <algorithm>
#include <chrono>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "murmur/agents/evaluation.hpp"
#include "murmur/agents/non_finite.hpp"
#include "murmur/agents/policy_init.hpp"
#include "murmur/base/affinity.hpp"
#include "murmur/base/blob.hpp"
#include "murmur/base/check.hpp"

namespace murmur {
namespace {

constexpr BlobKind kCheckpoint{"MURMURPP", 2};
constexpr std::size_t kMaxSchemaText = 4096;
constexpr std::int64_t kMaxEvalEpisodes = 100'000;
constexpr std::int64_t kMaxSteps = std::int64_t{1} << 53;  // of a checkpoint; nobody trains for so long
constexpr std::uint64_t kShuffleStream = 0x73687566;

const PpoConfig& validated(const PpoConfig& config) {
  validate(config);
  return config;
}

PolicySpec policy_spec(const EnvSpec& env, const PpoConfig& config) {
  const bool discrete = env.action_kind == ActionKind::kDiscrete;
  return {env.obs_dim,   discrete,          discrete ? env.num_actions : env.action_dim,
          config.hidden, config.activation, config.shared_trunk};
}

RolloutShape rollout_shape(const EnvSpec& env, const PpoConfig& config) {
  return {static_cast<std::size_t>(config.rollout_steps), static_cast<std::size_t>(config.num_envs),
          env.obs_dim, env.action_dim};
}

void put_moments(BlobWriter& writer, const RunningMoments& moments) {
  writer.put("count", moments.count());
  writer.put("mean", moments.mean());
  writer.put("m2", moments.m2());
}

RunningMoments get_moments(BlobReader& reader, std::size_t size) {
  std::vector<double> count(size);
  std::vector<double> mean(size);
  std::vector<double> m2(size);
  reader.get("count", count);
  reader.get("mean", mean);
  reader.get("m2", m2);
  return {count, mean, m2};
}

void check_steps(std::string_view name, std::int64_t steps) {
  if (steps >= 0 && steps <= kMaxSteps) return;
  throw_invalid(std::string(name) + " must lie in 0.." + std::to_string(kMaxSteps) + ", got " +
                std::to_string(steps));
}

}  // namespace

PpoAgent::PpoAgent(const PpoConfig& config, const EnvFactory& make_env, const BackendFactory& make_backend)
    : config_(validated(config)),
      make_env_(make_env),
      collector_(make_env(static_cast<std::size_t>(config.num_envs), config.local_seed), config),
      layout_(policy_spec(env_spec(), config)),
      backend_(make_backend(layout_, config.device)),
      trainer_(backend_->make_trainer(config_, collector_)),
      moments_(env_spec().obs_dim, config.observation_clip),
      base_policy_(layout_),
      rollout_(rollout_shape(env_spec(), config)),
      update_(config, rollout_.shape()),
      shuffle_rng_(config.local_seed, kShuffleStream) {
  std::vector<float> params(layout_.num_params());
  initialize_params(layout_, config.seed, params,
                    {.hidden_gain = config.init_hidden_gain,
                     .policy_gain = config.init_policy_gain,
                     .value_gain = config.init_value_gain,
                     .log_std = config.init_log_std});
  backend_->set_params(params);
}

TrainStats PpoAgent::train(std::int64_t max_env_steps, double max_seconds) {
  if (max_env_steps < 1)
    throw_invalid("max_env_steps must be at least 1, got " + std::to_string(max_env_steps));
  if (!(max_seconds > 0.0)) throw_invalid("max_seconds must be positive, got " + to_text(max_seconds));
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const PinnedScope pinned(callers_cpus());
  const BackendScope scope(*backend_);
  TrainStats stats;
  RolloutTally tally;
  std::int64_t iterations = 0;
  do {
    try {
      train_once(stats, tally);
    } catch (const NonFiniteError&) {
      throw;
    } catch (...) {
      if (iterations == 0) throw;
      failure_ = std::current_exception();
      break;
    }
    ++iterations;
    stats.wall_s = std::chrono::duration<double>(Clock::now() - start).count();
    // Another iteration only if at least half of it fits: on average the time asked for is the time taken.
  } while (stats.env_steps < max_env_steps &&
           stats.wall_s * (1.0 + 0.5 / static_cast<double>(iterations)) < max_seconds);

  const double scale = 1.0 / static_cast<double>(iterations);
  for (double* mean : {&stats.approx_kl, &stats.clip_fraction, &stats.base_kl, &stats.entropy,
                       &stats.policy_loss, &stats.value_loss})
    *mean *= scale;
  stats.episodes = tally.total.episodes;
  stats.mean_return = tally.total.mean_return();
  stats.mean_length = tally.total.mean_length();
  for (const EpisodeTally& variant : tally.variants)
    stats.variants.push_back({variant.episodes, variant.mean_return()});
  return stats;
}

void PpoAgent::train_once(TrainStats& stats, RolloutTally& tally) {
  stats.learning_rate = scheduled_learning_rate(config_, env_steps_);
  const UpdateStats update = iterate(tally);
  const auto steps = static_cast<std::int64_t>(rollout_.num_samples() - rollout_.num_gaps());
  env_steps_ += steps;
  stats.env_steps += steps;
  stats.approx_kl += update.last_epoch.approx_kl;
  stats.clip_fraction += update.last_epoch.clip_fraction;
  stats.base_kl += update.last_epoch.base_kl;
  stats.entropy += update.last_epoch.entropy;
  stats.policy_loss += update.last_epoch.policy_loss;
  stats.value_loss += update.last_epoch.value_loss;
  stats.explained_variance = update.explained_variance;
}

UpdateStats PpoAgent::iterate(RolloutTally& tally) {
  if (trainer_) return trainer_->iterate(collector_, moments_, tally, env_steps_, shuffle_rng_);
  collect(tally);
  return update_.run(*backend_, rollout_, base_policy_.outputs(*backend_, rollout_), env_steps_,
                     shuffle_rng_);
}

void PpoAgent::collect(RolloutTally& tally) {
  const ModelMoments moments = moments_;
  const RolloutTally before = tally;
  try {
    collector_.collect(*backend_, moments_, rollout_, tally);
  } catch (...) {
    moments_ = moments;
    tally = before;
    throw;
  }
}

double PpoAgent::evaluate(std::int64_t episodes, std::uint64_t seed) {
  return play_greedily(episodes, seed).mean_return;
}

std::vector<double> PpoAgent::evaluate_returns(std::int64_t episodes, std::uint64_t seed) {
  return play_greedily(episodes, seed).returns;
}

Evaluation PpoAgent::play_greedily(std::int64_t episodes, std::uint64_t seed) {
  if (episodes < 1 || episodes > kMaxEvalEpisodes) {
    throw_invalid("episodes must be in [1, " + std::to_string(kMaxEvalEpisodes) + "], got " +
                  std::to_string(episodes));
  }
  const PinnedScope pinned(callers_cpus());
  const BackendScope scope(*backend_);
  const std::unique_ptr<VectorEnv> env = make_env_(static_cast<std::size_t>(episodes), seed);
  return evaluate_greedy(*backend_, moments_, config_.normalize_observations, *env);
}

std::span<const int> PpoAgent::callers_cpus() const noexcept {
  const std::span<const int> cpus(config_.cpus);
  return cpus.empty() || backend_->starts_threads() ? cpus : cpus.first(1);
}

std::string PpoAgent::schema_text() const {
  std::ostringstream text;
  const PolicySpec& spec = layout_.spec();
  text << "murmur-ppo/1 env=" << env_spec().name << " obs=" << spec.obs_dim
       << " action=" << (spec.discrete ? "discrete:" : "continuous:") << spec.action_dim << " hidden=";
  for (std::size_t i = 0; i < spec.hidden.size(); ++i) text << (i == 0 ? "" : ",") << spec.hidden[i];
  text << " activation=" << to_string(spec.activation)
       << " normalize_observations=" << (config_.normalize_observations ? 1 : 0);
  if (spec.shared_trunk) text << " shared_trunk=1";
  return text.str();
}

void PpoAgent::get_params(std::span<float> params) const {
  backend_->get_params(params);
}

void PpoAgent::set_params(std::span<const float> params) {
  check_size("params", layout_.num_params(), params.size());
  check_finite("params", params);
  backend_->set_params(params);
}

void PpoAgent::set_model(std::span<const float> params, const RunningMoments& base) {
  check_size("moments", moments_.size(), base.size());
  set_params(params);
  moments_.set(base, RunningMoments(moments_.size()));
  set_base_policy(params);
}

void PpoAgent::set_base_policy(std::span<const float> params) {
  if (!(config_.kl_penalty > 0.0)) return;
  base_policy_.set(params);
  if (trainer_) trainer_->set_base_policy(params);
}

void PpoAgent::assign_variants(std::span<const EnvVariant> variants) {
  if (trainer_) trainer_->fetch(collector_);
  collector_.assign_variants(variants);
  if (trainer_) trainer_->send(collector_);
}

std::vector<std::byte> PpoAgent::save() const {
  BlobWriter writer(kCheckpoint);
  writer.put("schema", schema_text());
  std::vector<float> params(layout_.num_params());
  backend_->get_params(params);
  writer.put("params", params);
  const AdamState adam = backend_->optimizer_state();
  writer.put("adam_first", adam.first);
  writer.put("adam_second", adam.second);
  writer.put("adam_steps", adam.steps);
  put_moments(writer, moments_.base());
  put_moments(writer, moments_.fresh());
  base_policy_.save(writer);
  writer.put("env_steps", env_steps_);
  writer.put("shuffle_rng_state", shuffle_rng_.state().state);
  writer.put("shuffle_rng_increment", shuffle_rng_.state().increment);
  if (trainer_) trainer_->fetch(collector_);
  collector_.save(writer);
  return std::move(writer).finish();
}

void PpoAgent::load(std::span<const std::byte> bytes) {
  BlobReader reader(bytes, kCheckpoint);
  const std::string schema = reader.get_text("schema", kMaxSchemaText);
  if (schema != schema_text()) {
    throw BlobError("checkpoint is of another model: it holds '" + schema + "', this agent is '" +
                    schema_text() + "'");
  }
  std::vector<float> params(layout_.num_params());
  AdamState adam(layout_.num_params());
  reader.get("params", params);
  reader.get("adam_first", adam.first);
  reader.get("adam_second", adam.second);
  adam.steps = reader.get<std::int64_t>("adam_steps");
  try {
    check_finite("params", params);
    check_finite("adam_first", adam.first);
    check_finite("adam_second", adam.second);
    const RunningMoments base = get_moments(reader, moments_.size());
    const RunningMoments fresh = get_moments(reader, moments_.size());
    const std::vector<float> base_params = base_policy_.read(reader);
    check_finite("base_params", base_params);
    const auto env_steps = reader.get<std::int64_t>("env_steps");
    const auto state = reader.get<std::uint64_t>("shuffle_rng_state");
    const auto increment = reader.get<std::uint64_t>("shuffle_rng_increment");
    if (std::ranges::any_of(adam.second, [](float value) { return value < 0.0F; })) {
      throw_invalid("adam_second must not be negative");
    }
    check_steps("adam_steps", adam.steps);
    check_steps("env_steps", env_steps);
    if (increment % 2 == 0) throw_invalid("shuffle_rng_increment must be odd");
    collector_.load(reader);  // reads to the end, and changes nothing when it throws
    if (trainer_) trainer_->send(collector_);
    // Nothing below throws on a well-shaped state: all of the agent changes, or nothing.
    backend_->set_params(params);
    backend_->set_optimizer_state(adam);
    moments_.set(base, fresh);
    set_base_policy(base_params);
    env_steps_ = env_steps;
    shuffle_rng_ = Rng::from_state({state, increment});
    failure_ = nullptr;
  } catch (const std::invalid_argument& error) {
    throw BlobError(std::string("checkpoint holds a value that no agent writes: ") + error.what());
  }
}

}  // namespace murmur
