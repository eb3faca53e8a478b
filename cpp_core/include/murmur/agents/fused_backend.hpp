/// The fast back end for MLPs on a CPU: hand-written kernels, no autograd, no torch.
#pragma once

#include <memory>
#include <string>

#include "murmur/agents/ppo_backend.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/kernels/kernel_set.hpp"

namespace murmur {

/// Why a network is left to libtorch, such as "a layer of 1024 units is wider than 512"; empty when the fused
/// back end is the faster one.
[[nodiscard]] std::string why_not_fused(const PolicyLayout& layout);

/// Build the fused back end on `kernels`, which must outlive it (those of available_kernels() do).
///
/// Samples are shared out over `pool` and partial gradients added in a fixed order: same bytes for any number
/// of threads, and on every instruction set. `pool` must not be busy while a call runs.
/// Throws std::invalid_argument when `device` is CUDA. Networks that `why_not_fused` advises against work
/// too.
[[nodiscard]] std::unique_ptr<PpoBackend> make_fused_backend(
    const PolicyLayout& layout, Device device, std::shared_ptr<ThreadPool> pool,
    const kernels::KernelSet& kernels = kernels::best_kernels());

}  // namespace murmur
