/// A learner that a test can train in no time, on a plain back end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "murmur/agents/ppo_agent.hpp"
#include "murmur/envs/registry.hpp"
#include "scalar_backend.hpp"

namespace murmur::testing {

inline constexpr double kForever = std::numeric_limits<double>::infinity();

inline PpoConfig small_config() {
  PpoConfig config;
  config.hidden = {8, 8};
  config.num_envs = 6;
  config.rollout_steps = 16;
  config.minibatch_size = 32;
  config.epochs = 2;
  config.learning_rate = 1e-3;
  config.normalize_observations = true;
  config.normalize_rewards = true;
  config.seed = 3;
  config.local_seed = 5;
  return config;
}

inline std::unique_ptr<PpoAgent> make_agent(const std::string& env, const PpoConfig& config,
                                            int threads = 1) {
  auto pool = std::make_shared<ThreadPool>(threads);
  const EnvFactory make_env = [env, pool](std::size_t n, std::uint64_t seed) {
    return make_vector_env(env, n, seed, pool);
  };
  return std::make_unique<PpoAgent>(config, make_env, &ScalarBackend::make);
}

inline std::vector<float> params_of(const PpoAgent& agent) {
  std::vector<float> params(agent.layout().num_params());
  agent.get_params(params);
  return params;
}

}  // namespace murmur::testing
