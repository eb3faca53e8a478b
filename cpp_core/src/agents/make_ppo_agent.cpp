#include <algorithm>
#include <memory>
#include <string>

#include "murmur/agents/ppo_agent.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/envs/registry.hpp"

namespace murmur {

std::unique_ptr<PpoAgent> make_ppo_agent(std::string_view env_name, const PpoConfig& config) {
  validate(config);
  auto pool = std::make_shared<ThreadPool>(static_cast<int>(config.threads));
  const EnvFactory make_env = [name = std::string(env_name), pool](std::size_t num_envs, std::uint64_t seed) {
    return make_vector_env(name, num_envs, seed, pool);
  };
  return std::make_unique<PpoAgent>(config, make_env, &make_libtorch_backend);
}

}  // namespace murmur
