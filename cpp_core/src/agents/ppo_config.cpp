#include "murmur/agents/ppo_config.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include "murmur/base/thread_pool.hpp"

namespace murmur {
namespace {

// Bounds the memory and time of a mistyped configuration, far above any sensible use.
constexpr std::int64_t kMaxHiddenLayers = 8;
constexpr std::int64_t kMaxHiddenUnits = 8192;
constexpr std::int64_t kMaxEnvs = 1 << 20;
constexpr std::int64_t kMaxRolloutSteps = 1 << 20;
constexpr std::int64_t kMaxBatch = 1 << 26;

template <typename T>
[[noreturn]] void refuse(std::string_view field, std::string_view expected, T got) {
  std::ostringstream text;
  text << field << " must be " << expected << ", got " << got;
  throw std::invalid_argument(text.str());
}

void check_count(std::string_view field, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return;
  refuse(field, "in [" + std::to_string(low) + ", " + std::to_string(high) + "]", value);
}

/// `low` < or <= value < or <= `high`; written so that NaN fails.
void check_real(std::string_view field, double value, bool inside, std::string_view expected) {
  if (std::isfinite(value) && inside) return;
  refuse(field, expected, value);
}

/// For what is computed with as a float: rounded to one it must neither vanish, nor lose precision as a
/// subnormal that some processors take for zero, nor become infinite.
bool is_normal_float(double value) {
  return value <= static_cast<double>(std::numeric_limits<float>::max()) &&
         static_cast<float>(value) >= std::numeric_limits<float>::min();
}

void check_bound(std::string_view field, double value) {
  check_real(field, value, value == 0 || is_normal_float(value),
             "0 (off) or in [1.17549435e-38, 3.40282347e38]");
}

/// For weights of the loss, which may be small but, as a float, not infinite.
void check_weight(std::string_view field, double value) {
  check_real(field, value, value >= 0 && value <= static_cast<double>(std::numeric_limits<float>::max()),
             "in [0, 3.40282347e38]");
}

void check_network(const PpoConfig& c) {
  check_count("hidden layers", static_cast<std::int64_t>(c.hidden.size()), 1, kMaxHiddenLayers);
  for (const std::int64_t units : c.hidden) check_count("hidden", units, 1, kMaxHiddenUnits);
  check_real("init_hidden_gain", c.init_hidden_gain, c.init_hidden_gain > 0 && c.init_hidden_gain <= 100,
             "in (0, 100]");
  check_real("init_policy_gain", c.init_policy_gain, c.init_policy_gain >= 0 && c.init_policy_gain <= 100,
             "in [0, 100]");
  check_real("init_value_gain", c.init_value_gain, c.init_value_gain >= 0 && c.init_value_gain <= 100,
             "in [0, 100]");
  check_real("init_log_std", c.init_log_std, c.init_log_std >= -10 && c.init_log_std <= 5, "in [-10, 5]");
}

void check_batch(const PpoConfig& c) {
  check_count("num_envs", c.num_envs, 1, kMaxEnvs);
  check_count("rollout_steps", c.rollout_steps, 1, kMaxRolloutSteps);
  if (c.batch_size() > kMaxBatch) {
    refuse("num_envs * rollout_steps", "at most " + std::to_string(kMaxBatch), c.batch_size());
  }
  check_count("epochs", c.epochs, 1, 1000);
  check_count("minibatch_size", c.minibatch_size, 1, c.batch_size());
  if (c.batch_size() % c.minibatch_size != 0) {
    refuse("minibatch_size", "a divisor of num_envs * rollout_steps = " + std::to_string(c.batch_size()),
           c.minibatch_size);
  }
}

void check_objective(const PpoConfig& c) {
  check_real("gamma", c.gamma, c.gamma >= 0 && c.gamma <= 1, "in [0, 1]");
  check_real("gae_lambda", c.gae_lambda, c.gae_lambda >= 0 && c.gae_lambda <= 1, "in [0, 1]");
  check_real("clip_range", c.clip_range, is_normal_float(c.clip_range) && c.clip_range <= 1,
             "in [1.17549435e-38, 1]");
  check_bound("value_clip_range", c.value_clip_range);
  check_weight("entropy_coef", c.entropy_coef);
  check_weight("value_coef", c.value_coef);
  check_real("target_kl", c.target_kl, c.target_kl >= 0, ">= 0 (0 = off)");
  check_weight("kl_penalty", c.kl_penalty);
  check_bound("observation_clip", c.observation_clip);
  check_bound("reward_clip", c.reward_clip);
}

void check_optimizer(const PpoConfig& c) {
  check_real("max_grad_norm", c.max_grad_norm, is_normal_float(c.max_grad_norm),
             "in [1.17549435e-38, 3.40282347e38]");
  check_real("learning_rate", c.learning_rate, is_normal_float(c.learning_rate) && c.learning_rate <= 1,
             "in [1.17549435e-38, 1]");
  if (c.schedule_env_steps < 1) refuse("schedule_env_steps", ">= 1", c.schedule_env_steps);
  check_real("adam_beta1", c.adam_beta1, c.adam_beta1 >= 0 && c.adam_beta1 < 1, "in [0, 1)");
  check_real("adam_beta2", c.adam_beta2, c.adam_beta2 >= 0 && c.adam_beta2 < 1, "in [0, 1)");
  check_real("adam_epsilon", c.adam_epsilon, is_normal_float(c.adam_epsilon),
             "in [1.17549435e-38, 3.40282347e38]");
}

template <typename E, std::size_t N>
E parse(std::string_view field, std::string_view name,
        const std::array<std::pair<std::string_view, E>, N>& table) {
  std::string choices;
  for (const auto& [text, value] : table) {
    if (text == name) return value;
    choices += (choices.empty() ? "" : ", ") + std::string(text);
  }
  refuse(field, "one of " + choices, std::string("'").append(name).append("'"));
}

constexpr std::array<std::pair<std::string_view, Activation>, 3> kActivations{
    {{"tanh", Activation::kTanh}, {"relu", Activation::kRelu}, {"silu", Activation::kSilu}}};
constexpr std::array<std::pair<std::string_view, Schedule>, 2> kSchedules{
    {{"constant", Schedule::kConstant}, {"linear", Schedule::kLinear}}};
constexpr std::array<std::pair<std::string_view, Device>, 3> kDevices{
    {{"auto", Device::kAuto}, {"cpu", Device::kCpu}, {"cuda", Device::kCuda}}};
constexpr std::array<std::pair<std::string_view, Backend>, 3> kBackends{
    {{"auto", Backend::kAuto}, {"libtorch", Backend::kLibtorch}, {"fused", Backend::kFused}}};

template <typename E, std::size_t N>
std::string_view name_of(E value, const std::array<std::pair<std::string_view, E>, N>& table) noexcept {
  for (const auto& [text, entry] : table) {
    if (entry == value) return text;
  }
  return "?";
}

}  // namespace

void validate(const PpoConfig& config) {
  check_network(config);
  check_batch(config);
  check_objective(config);
  check_optimizer(config);
  check_count("threads", config.threads, 1, ThreadPool::kMaxThreads);
}

Activation parse_activation(std::string_view name) {
  return parse("activation", name, kActivations);
}
Schedule parse_schedule(std::string_view field, std::string_view name) {
  return parse(field, name, kSchedules);
}
Device parse_device(std::string_view name) {
  return parse("device", name, kDevices);
}
Backend parse_backend(std::string_view name) {
  return parse("backend", name, kBackends);
}

std::string_view to_string(Activation value) noexcept {
  return name_of(value, kActivations);
}
std::string_view to_string(Schedule value) noexcept {
  return name_of(value, kSchedules);
}
std::string_view to_string(Device value) noexcept {
  return name_of(value, kDevices);
}
std::string_view to_string(Backend value) noexcept {
  return name_of(value, kBackends);
}

}  // namespace murmur
