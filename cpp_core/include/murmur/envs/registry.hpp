#pragma once
// The table of environments. Explicit, because static initialisers in a static library are dropped by
// linkers. A program may add environments of its own while it runs.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "murmur/base/instruction_set.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur {

/// The names of the core's own environments, in the order of the table.
[[nodiscard]] std::vector<std::string_view> env_names();

/// Makes `num_envs` envs of the default variant, freshly reset from `seed`.
using EnvMaker =
    std::function<std::unique_ptr<VectorEnv>(const EnvSpec&, std::size_t num_envs, std::uint64_t seed)>;

/// Add an environment that is not part of the core; from now on `env_spec` and `make_vector_env` know its
/// name. What `spec` points to is copied, and kept, like `make`, until the process ends. Callable from any
/// thread.
///
/// Returns the spec that is kept. Throws std::invalid_argument when the name is known already or not up to
/// kMaxEnvName characters of printable ASCII, or the spec is none: no observation, no action, bounds of
/// another number than the action's, or no time limit.
const EnvSpec& register_env(const EnvSpec& spec, EnvMaker make);

/// Return the spec of env `name`. Throws std::invalid_argument naming the nearest known name.
[[nodiscard]] const EnvSpec& env_spec(std::string_view name);

/// Make a batch of `num_envs` envs of the default variant, freshly reset from `seed`; `step` runs on `pool`.
/// Results do not depend on `set`. Throws std::invalid_argument for an unknown name, a bad count, or an
/// instruction set that this processor lacks.
[[nodiscard]] std::unique_ptr<VectorEnv> make_vector_env(std::string_view name, std::size_t num_envs,
                                                         std::uint64_t seed, std::shared_ptr<ThreadPool> pool,
                                                         InstructionSet set = best_instruction_set());

/// Resolve named parameters against the spec: one value per entry of `spec.params`, defaults filled in.
/// Throws std::invalid_argument when a name is unknown (naming the nearest), given twice, or out of range.
[[nodiscard]] std::vector<double> resolve_params(const EnvSpec& spec,
                                                 std::span<const std::pair<std::string, double>> params);

}  // namespace murmur
