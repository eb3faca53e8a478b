#pragma once

#include <cstdint>

#include "murmur/agents/model_moments.hpp"
#include "murmur/agents/ppo_backend.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur {

/// Return the mean return of the first episode of each env of `env`, freshly reset, under the greedy policy.
///
/// Discrete: the most probable choice; continuous: the mean. Statistics are read, never changed.
/// Throws NonFiniteError when an observation or the policy's output is not finite.
[[nodiscard]] double evaluate_greedy(PpoBackend& backend, const ModelMoments& moments,
                                     bool normalize_observations, VectorEnv& env);

}  // namespace murmur
