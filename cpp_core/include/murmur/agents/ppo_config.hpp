/// Every hyperparameter of PPO in one plain struct, and the one function that judges it.
#pragma once

#include <cstdint>
#include <numbers>
#include <string_view>
#include <vector>

namespace murmur {

enum class Activation : std::uint8_t { kTanh, kRelu, kSilu };
enum class Schedule : std::uint8_t { kConstant, kLinear };
enum class Device : std::uint8_t { kAuto, kCpu, kCuda };
enum class Backend : std::uint8_t { kAuto, kLibtorch, kFused };

/// Settings of one learner. The defaults are those for classic control of Huang et al. 2022 ("The 37
/// Implementation Details of PPO"), unless a field says otherwise; a peer's come from its configuration.
struct PpoConfig {
  std::vector<std::int64_t> hidden{64, 64};  ///< units of each hidden layer, of actor and critic alike
  Activation activation = Activation::kTanh;
  bool shared_trunk = false;  ///< actor and critic share the hidden layers and differ in their heads

  double init_hidden_gain = std::numbers::sqrt2;  ///< of the orthogonal first weights of hidden layers
  double init_policy_gain = 0.01;                 ///< ... of the actor's head
  double init_value_gain = 1.0;                   ///< ... of the critic's head
  double init_log_std = 0.0;                      ///< of continuous actions

  std::int64_t num_envs = 8;          ///< as for Atari; 4 for classic control
  std::int64_t rollout_steps = 128;   ///< steps per env and iteration
  std::int64_t epochs = 4;            ///< passes over each rollout
  std::int64_t minibatch_size = 256;  ///< must divide num_envs * rollout_steps

  double gamma = 0.99;
  double gae_lambda = 0.95;
  double clip_range = 0.2;
  Schedule clip_schedule = Schedule::kConstant;  ///< linear for Atari in Schulman et al. 2017 ("PPO")
  double value_clip_range = 0.2;                 ///< 0 = no value clipping
  double entropy_coef = 0.0;                     ///< as in Stable-Baselines3; Huang et al.: 0.01
  double value_coef = 0.5;  ///< the value loss is half the squared error: half this is SB3's `vf_coef`
  double max_grad_norm = 0.5;
  double learning_rate = 2.5e-4;
  Schedule lr_schedule = Schedule::kConstant;   ///< Huang et al.: linear, which needs a known end
  std::int64_t schedule_env_steps = 1'000'000;  ///< env steps after which linear schedules have reached zero
  double target_kl = 0.0;   ///< stop an update when a minibatch's KL exceeds 1.5 times this; 0 = off
  double kl_penalty = 0.0;  ///< weight of KL(policy of the last set_model || policy); 0 = off

  bool normalize_observations = false;
  double observation_clip = 10.0;  ///< bound on normalised observations; 0 = off
  bool normalize_rewards = false;
  double reward_clip = 10.0;  ///< bound on normalised rewards; 0 = off
  bool normalize_advantages = true;

  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-5;

  std::uint64_t seed = 1;        ///< of the initial parameters: equal on all peers of a run
  std::uint64_t local_seed = 1;  ///< of episodes, actions and minibatches: each peer has its own
  std::int64_t threads = 1;      ///< threads that play and learn; results do not depend on it
  std::vector<int> cpus;         ///< cores to pin the threads to, one each; empty: where the system likes
  Device device = Device::kAuto;
  Backend backend = Backend::kAuto;  ///< auto: fused where it runs and is the faster one, else libtorch

  [[nodiscard]] std::int64_t batch_size() const noexcept { return num_envs * rollout_steps; }
};

/// Throw std::invalid_argument that names the first field out of range, what was expected and what came.
void validate(const PpoConfig& config);

/// Parse a name as the configuration file spells it ("tanh", "linear", "auto", ...).
/// Throws std::invalid_argument that names the field and the choices.
[[nodiscard]] Activation parse_activation(std::string_view name);
/// `field` is what the message calls it: "lr_schedule" or "clip_schedule".
[[nodiscard]] Schedule parse_schedule(std::string_view field, std::string_view name);
[[nodiscard]] Device parse_device(std::string_view name);
[[nodiscard]] Backend parse_backend(std::string_view name);

[[nodiscard]] std::string_view to_string(Activation value) noexcept;
[[nodiscard]] std::string_view to_string(Schedule value) noexcept;
[[nodiscard]] std::string_view to_string(Device value) noexcept;
[[nodiscard]] std::string_view to_string(Backend value) noexcept;

}  // namespace murmur
