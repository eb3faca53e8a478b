#pragma once

#include <vector>

#include "murmur/agents/model_moments.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur {

/// Greedy episodes.
struct Evaluation {
  double mean_return = 0.0;     ///< summed in the order in which the episodes ended
  std::vector<double> returns;  ///< [N], by env
};

/// Return what the first episode of each env of `env`, freshly reset, comes to under the greedy policy.
///
/// Discrete: the most probable choice; continuous: the mean. Statistics are read, never changed.
/// Throws NonFiniteError when an observation or the policy's output is not finite.
[[nodiscard]] Evaluation evaluate_greedy(PpoBackend& backend, const ModelMoments& moments,
                                         bool normalize_observations, VectorEnv& env);

}  // namespace murmur
