#pragma once
// What an environment is. A new one is a header like envs/cartpole.hpp and one line in envs/registry.cpp.
//
// An env is a type with static, pure, inlinable functions over small arrays; it holds nothing. The batch
// (envs/batched_env.hpp) keeps state and constants of all envs as columns and calls these functions in a loop
// that the compiler can vectorise, which is why `step` and `observe` should be free of branches and calls.

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <tuple>

#include "murmur/base/host_device.hpp"
#include "murmur/base/rng.hpp"

namespace murmur {

enum class ActionKind { kDiscrete, kContinuous };

/// One parameter of an env's physics that a variant may change.
struct ParamSpec {
  std::string_view name;
  double default_value;
  double low;   // inclusive
  double high;  // inclusive
  std::string_view meaning;
};

/// Characters of an env's name, all of printable ASCII: what checkpoints hold of it.
inline constexpr std::size_t kMaxEnvName = 64;

/// Everything about an env that does not change while it runs. Points to static data only.
struct EnvSpec {
  std::string_view name;  // Gymnasium's id where there is one
  std::size_t obs_dim;
  std::size_t state_dim;
  ActionKind action_kind;
  std::size_t action_dim;              // floats per action: 1 for discrete
  std::size_t num_actions;             // discrete only, else 0
  std::span<const float> action_low;   // [A], continuous only, else empty
  std::span<const float> action_high;  // [A]
  std::size_t max_episode_steps;       // an episode that lasts this long is truncated
  std::span<const ParamSpec> params;
  std::span<const float> obs_low = {};   // [D] where Gymnasium states bounds, else empty: unbounded
  std::span<const float> obs_high = {};  // [D]
};

struct StepOutcome {
  float reward;
  bool terminated;
};

/// The static interface of an environment E:
///   kSpec        its EnvSpec.
///   State        std::array<float, S>, all that changes; a step depends on nothing else.
///   Constants    std::array<float or double, C>, what `derive` makes of the parameters, once per variant.
///   Observation  std::array<float, D>.
///   Action       std::array<float, A>; a discrete action is its index as a float.
///   reset        draws the first state of an episode from `rng`.
///   step         moves `state` on by one action. Continuous actions outside the bounds are clipped by the
///   env.
///   observe      what the agent sees of `state`.
/// reset, step and observe are marked MURMUR_HOST_DEVICE: the CUDA kernels are made from the same functions.
template <class E>
concept Environment = requires(const typename E::Constants& constants, typename E::State& state,
                               const typename E::Action& action, Rng& rng, std::span<const double> params) {
  { E::kSpec.name } -> std::convertible_to<std::string_view>;
  { E::derive(params) } -> std::same_as<typename E::Constants>;
  { E::reset(constants, rng) } noexcept -> std::same_as<typename E::State>;
  { E::step(constants, state, action) } noexcept -> std::same_as<StepOutcome>;
  {
    E::observe(constants, static_cast<const typename E::State&>(state))
  } noexcept -> std::same_as<typename E::Observation>;
  requires std::tuple_size_v<typename E::State> == E::kSpec.state_dim;
  requires std::tuple_size_v<typename E::Observation> == E::kSpec.obs_dim;
  requires std::tuple_size_v<typename E::Action> == E::kSpec.action_dim;
};

}  // namespace murmur
