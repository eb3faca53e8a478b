#pragma once
// A batch of environments behind one virtual call per step.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "murmur/base/blob.hpp"
#include "murmur/envs/env.hpp"

namespace murmur {

/// Where a step writes, for N envs with D observation dims. The caller owns the memory: rows of a rollout
/// buffer, or arrays that Python sees.
struct StepOutput {
  std::span<float> observations;       // [N, D], after auto-reset: what the next action is chosen from
  std::span<float> rewards;            // [N]
  std::span<std::uint8_t> terminated;  // [N], the task ended: the value of what follows is 0
  std::span<std::uint8_t> truncated;   // [N], the time limit was reached; may be set together with terminated
  std::span<float>
      final_observations;            // [N, D], last observation of episodes that ended; other rows untouched
  std::span<float> episode_returns;  // [N], of episodes that ended; other rows untouched
  std::span<std::int32_t> episode_lengths;  // [N], likewise
};

/// Memory for a StepOutput.
class StepBuffers {
 public:
  StepBuffers(std::size_t num_envs, std::size_t obs_dim);
  [[nodiscard]] StepOutput output() noexcept;

  std::vector<float> observations;            // [N, D]
  std::vector<float> rewards;                 // [N]
  std::vector<std::uint8_t> terminated;       // [N]
  std::vector<std::uint8_t> truncated;        // [N]
  std::vector<float> final_observations;      // [N, D]
  std::vector<float> episode_returns;         // [N]
  std::vector<std::int32_t> episode_lengths;  // [N]
};

/// A kind of env that some of the batch should be: parameters that differ from the default, and the seeds
/// that its episodes are drawn from.
struct EnvVariant {
  std::vector<std::pair<std::string, double>> params;
  std::uint64_t seed_start = 0;
  std::uint64_t seed_end = std::uint64_t{1} << 63U;  // exclusive
  std::size_t count = 0;                             // envs of the batch that shall be this variant
};

/// N environments of one type that step together and restart by themselves when an episode ends.
///
/// Same seed, same actions: same bytes, for any number of threads. An episode is fixed by its seed, which the
/// env draws from its variant's range with a stream of its own.
///
/// The core's own environments do not fail once they are made. Those of others (`register_env`) may throw
/// what they like where it does not say noexcept; the batch is then good for nothing but to be destroyed.
class VectorEnv {
 public:
  static constexpr std::size_t kMaxEnvs = std::size_t{1} << 22U;

  virtual ~VectorEnv() = default;
  VectorEnv(const VectorEnv&) = delete;
  VectorEnv& operator=(const VectorEnv&) = delete;

  [[nodiscard]] const EnvSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] std::size_t num_envs() const noexcept { return num_envs_; }

  /// Restart every env and every random stream from `seed`; variants stay.
  virtual void reset(std::uint64_t seed) = 0;

  /// Write the current observation of every env, [N, D]: after construction, `reset`, `set_state` or
  /// `assign_variants`.
  virtual void observe(std::span<float> observations) const noexcept = 0;

  /// Throw std::invalid_argument naming the env whose action is no valid index or not finite.
  /// Actions from outside the core must pass here first: `step` itself trusts them.
  void check_actions(std::span<const float> actions) const;

  /// Move every env on by one action, [N, A]; a discrete action is its index. The core's own allocate
  /// nothing. Sizes of `actions` and `out` are asserted; their memory must not overlap.
  virtual void step(std::span<const float> actions, const StepOutput& out) = 0;

  /// Take note that nobody will look at env `i` until the next `reset`: where a step is dear, `step` may
  /// leave its rows as they are.
  virtual void rest(std::size_t /*i*/) noexcept {}

  /// For each env, 1 where the next step will only begin an episode, whatever its action: that step is part
  /// of no episode, has the reward 0, and what the action is chosen from says nothing. Batches of others that
  /// can begin one in no other way have such. [N], or empty where no env ever waits.
  [[nodiscard]] virtual std::span<const std::uint8_t> waiting() const noexcept { return {}; }

  /// Share the envs out over `variants`, whose counts must sum to N. An env whose variant (parameters and
  /// seed range) is still wanted keeps its running episode; the others restart.
  ///
  /// Returns the indices of the restarted envs, ascending. Throws std::invalid_argument, changing nothing,
  /// when counts do not sum to N, a parameter is unknown (naming the nearest) or out of range, or a range is
  /// empty.
  virtual std::vector<std::size_t> assign_variants(std::span<const EnvVariant> variants) = 0;

  /// For each env, its index in the list last given to `assign_variants` (0 before that). [N]
  [[nodiscard]] virtual std::span<const std::int32_t> variant_of() const noexcept = 0;

  /// Copy out env `i`'s state, [S]. Throws std::invalid_argument on a bad index or size.
  virtual void get_state(std::size_t i, std::span<float> state) const = 0;

  /// Replace env `i`'s state, as if `elapsed_steps` steps of an episode had led to it; its return restarts at
  /// 0. Throws std::invalid_argument on a bad index or size, a value that is not finite, or a spent episode.
  virtual void set_state(std::size_t i, std::span<const float> state, std::size_t elapsed_steps = 0) = 0;

  /// Write everything that a later `load` needs to go on with the same bytes: the last fields of a blob.
  virtual void save(BlobWriter& writer) const = 0;

  /// Restore what `save` wrote for the same env and N, to the blob's end. Throws BlobError, changing nothing,
  /// when it does not fit or more follows.
  virtual void load(BlobReader& reader) = 0;

  /// Whether `save` writes the running episodes, too. Where not, each env begins its next one in `load`.
  [[nodiscard]] virtual bool saves_episodes() const noexcept { return true; }

 protected:
  /// `spec` must outlive the batch. Throws std::invalid_argument unless 1 <= num_envs <= kMaxEnvs.
  VectorEnv(const EnvSpec& spec, std::size_t num_envs);

 private:
  const EnvSpec& spec_;
  std::size_t num_envs_;
};

}  // namespace murmur
