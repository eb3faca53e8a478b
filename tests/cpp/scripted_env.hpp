/// An environment that does exactly what a test says.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "murmur/envs/vector_env.hpp"

namespace murmur::testing {

/// What one env of the batch does at one step of its episode (1 is the first).
struct ScriptedStep {
  float observation = 0.0F;  // what the step leads to
  float reward = 1.0F;
  bool terminated = false;
  bool truncated = false;
};

inline constexpr EnvSpec kScriptedSpec{
    .name = "Scripted-v0",
    .obs_dim = 1,
    .state_dim = 1,
    .action_kind = ActionKind::kDiscrete,
    .action_dim = 1,
    .num_actions = 2,
    .action_low = {},
    .action_high = {},
    .max_episode_steps = 1000,
    .params = {},
};

/// Episodes start at observation 0; then the script decides. With `waits` each is followed by a step that
/// only begins the next one, and is chosen from an observation of -99, which nobody may use.
class ScriptedEnv final : public VectorEnv {
 public:
  using Script = std::function<ScriptedStep(std::size_t env, std::size_t step)>;

  ScriptedEnv(std::size_t num_envs, Script script, bool waits = false)
      : VectorEnv(kScriptedSpec, num_envs),
        script_(std::move(script)),
        waiting_(waits ? num_envs : 0),
        steps_(num_envs),
        returns_(num_envs),
        observations_(num_envs),
        variants_(num_envs) {}

  void reset(std::uint64_t /*seed*/) noexcept override {
    for (std::size_t i = 0; i < num_envs(); ++i) restart(i);
  }
  void observe(std::span<float> observations) const noexcept override {
    std::copy(observations_.begin(), observations_.end(), observations.begin());
  }
  void step(std::span<const float> /*actions*/, const StepOutput& out) noexcept override {
    for (std::size_t i = 0; i < num_envs(); ++i) {
      if (!waiting_.empty() && waiting_[i] != 0) {
        restart(i);
        out.observations[i] = observations_[i];
        out.rewards[i] = 0.0F;
        out.terminated[i] = out.truncated[i] = waiting_[i] = 0;
        continue;
      }
      const ScriptedStep now = script_(i, ++steps_[i]);
      observations_[i] = now.observation;
      returns_[i] += now.reward;
      out.rewards[i] = now.reward;
      out.terminated[i] = now.terminated ? 1 : 0;
      out.truncated[i] = now.truncated ? 1 : 0;
      if (now.terminated || now.truncated) {
        out.final_observations[i] = now.observation;
        out.episode_returns[i] = returns_[i];
        out.episode_lengths[i] = static_cast<std::int32_t>(steps_[i]);
        restart(i);
        if (!waiting_.empty()) {
          waiting_[i] = 1;
          observations_[i] = -99.0F;
        }
      }
      out.observations[i] = observations_[i];
    }
  }
  void rest(std::size_t i) noexcept override { resting.push_back(i); }
  [[nodiscard]] std::span<const std::uint8_t> waiting() const noexcept override { return waiting_; }
  /// Restarts the first env, whatever it is asked for.
  std::vector<std::size_t> assign_variants(std::span<const EnvVariant> variants) override {
    std::size_t env = 0;
    for (std::size_t v = 0; v < variants.size(); ++v) {
      for (std::size_t i = 0; i < variants[v].count; ++i) variants_[env++] = static_cast<std::int32_t>(v);
    }
    restart(0);
    return {0};
  }
  [[nodiscard]] std::span<const std::int32_t> variant_of() const noexcept override { return variants_; }
  void get_state(std::size_t i, std::span<float> state) const override { state[0] = observations_[i]; }
  void set_state(std::size_t i, std::span<const float> state, std::size_t elapsed_steps) override {
    observations_[i] = state[0];
    steps_[i] = elapsed_steps;
  }
  void save(BlobWriter& writer) const override { writer.put("scripted", observations_); }
  void load(BlobReader& reader) override { reader.get("scripted", observations_); }
  [[nodiscard]] bool saves_episodes() const noexcept override { return saves; }

  std::vector<std::size_t> resting;  // as they were sent to rest
  bool saves = true;

 private:
  void restart(std::size_t i) noexcept {
    steps_[i] = 0;
    returns_[i] = 0.0F;
    observations_[i] = 0.0F;
  }

  Script script_;
  std::vector<std::uint8_t> waiting_;
  std::vector<std::size_t> steps_;
  std::vector<float> returns_;
  std::vector<float> observations_;
  std::vector<std::int32_t> variants_;
};

}  // namespace murmur::testing
