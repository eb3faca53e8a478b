/// What blocks of the update and the rollout keep in shared memory besides weights and activations.
#pragma once

#include <cstddef>

#include "cuda/block.hpp"

namespace murmur::cuda {

/// Samples that may be told apart when loss terms are summed: see differentiate.hpp.
inline constexpr int kLossSlots = 16;
inline constexpr int kLossTerms = 6;

/// An upper bound for any kernel and any env, of which plans leave room.
inline constexpr std::size_t kReservedBytes = 8 * 1024;

}  // namespace murmur::cuda
