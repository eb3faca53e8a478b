#pragma once

#include <cstdint>

#include "murmur/base/host_device.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// One env of a batch by itself, with all that its future depends on: what a device needs to go on with it.
template <Environment E>
struct EnvRow {
  typename E::State state;
  typename E::Constants constants;
  std::int32_t elapsed;  // steps of the running episode
  float episode_return;  // its reward so far
  Rng episode_seeds;     // draws the next episode's seed
  std::uint64_t seed_start;
  std::uint64_t seed_end;  // exclusive

  /// Begin the next episode, as BatchedEnv does.
  MURMUR_HOST_DEVICE void start_episode() noexcept {
    Rng rng(seed_start + episode_seeds.below(seed_end - seed_start));
    state = E::reset(constants, rng);
    elapsed = 0;
    episode_return = 0.0F;
  }
};

}  // namespace murmur
