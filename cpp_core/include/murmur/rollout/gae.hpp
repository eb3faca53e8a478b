#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace murmur {

/// What `compute_gae` reads: T steps of N envs.
struct GaeInput {
  std::size_t num_steps;                     // T
  std::size_t num_envs;                      // N
  std::span<const float> rewards;            // [T, N]
  std::span<const float> values;             // [T + 1, N], one extra row: the bootstrap
  std::span<const std::uint8_t> terminated;  // [T, N]
  std::span<const std::uint8_t> truncated;   // [T, N]
  std::span<const float> final_values;       // [T, N], value of the last observation before auto-reset;
                                             // read only where a step is truncated and not terminated
};

/// Generalised advantage estimation (Schulman et al. 2016, eq. 16), written into `advantages`, [T, N].
///
/// A terminated step is followed by nothing. A truncated step bootstraps from `final_values`: a time limit is
/// not an end (Pardo et al. 2018, "Time Limits in Reinforcement Learning"). Where both are set, terminated
/// wins. Throws std::invalid_argument when shapes disagree or gamma or lambda is outside [0, 1].
void compute_gae(const GaeInput& in, float gamma, float lambda, std::span<float> advantages);

}  // namespace murmur
