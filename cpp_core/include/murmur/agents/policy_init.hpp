/// The first parameters of a run, the same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "murmur/agents/policy_layout.hpp"
#include "murmur/base/rng.hpp"

namespace murmur {

/// Fill `params` [P]: orthogonal weights with gain sqrt(2) in hidden layers, 0.01 in the actor's head, 1 in
/// the critic's; biases and log_std zero (Huang et al. 2022, "The 37 Implementation Details of PPO", detail
/// 2).
///
/// All peers of a run start here by seed, so the result is bit-identical on every CPU: no LAPACK, no libm,
/// only integer arithmetic and correctly rounded + - * / sqrt in double. Cost: O(units^3) per layer.
void initialize_params(const PolicyLayout& layout, std::uint64_t seed, std::span<float> params);

/// Fill `matrix` [rows, cols], row-major, with a random (semi-)orthogonal matrix times `gain`: the shorter
/// side's vectors are orthonormal (Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of
/// learning").
void fill_orthogonal(std::size_t rows, std::size_t cols, double gain, Rng& rng, std::span<float> matrix);

}  // namespace murmur
