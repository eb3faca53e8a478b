#pragma once
// VectorEnv of one env type E: columns of state, and a step that the compiler inlines and vectorises.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "murmur/base/check.hpp"
#include "murmur/base/thread_pool.hpp"
#include "murmur/envs/columns.hpp"
#include "murmur/envs/env_row.hpp"
#include "murmur/envs/flag_bits.hpp"
#include "murmur/envs/reset_kernel.hpp"
#include "murmur/envs/step_kernel.hpp"
#include "murmur/envs/variants.hpp"
#include "murmur/envs/vector_env.hpp"

namespace murmur {

template <Environment E>
class BatchedEnv final : public VectorEnv {
 public:
  BatchedEnv(std::size_t num_envs, std::uint64_t seed, std::shared_ptr<ThreadPool> pool, InstructionSet set)
      : VectorEnv(E::kSpec, num_envs),
        step_(step_kernel<E>(set)),
        reset_(reset_kernel<E>(set)),
        pool_(std::move(pool)),
        variants_(E::kSpec, num_envs),
        state_(num_envs),
        constants_(num_envs),
        elapsed_(num_envs),
        returns_(num_envs),
        episode_seeds_(num_envs) {
    if (pool_ == nullptr) throw_invalid("pool must not be null");
    for (std::size_t i = 0; i < num_envs; ++i) derive_constants(i);
    reset(seed);
  }

  void reset(std::uint64_t seed) noexcept override {
    for (std::size_t i = 0; i < num_envs(); ++i) {
      episode_seeds_[i] = Rng(seed, i);
      start_episode(i);
    }
  }

  void observe(std::span<float> observations) const noexcept override {
    MURMUR_ASSERT(observations.size() == num_envs() * kD);
    for (std::size_t i = 0; i < num_envs(); ++i) put_observation(i, observations.data());
  }

  void step(std::span<const float> actions, const StepOutput& out) noexcept override {
    assert_sizes(actions, out);
    pool_->parallel_for(num_envs(), kGrain, [&](std::size_t begin, std::size_t end) noexcept {
      for (std::size_t i = begin; i < end; i += kStepRun) {
        const std::size_t n = std::min(end - i, kStepRun);
        if (step_(columns(i, actions.data(), out), n)) restart_ended(i, i + n, out);
      }
    });
  }

  std::vector<std::size_t> assign_variants(std::span<const EnvVariant> variants) override {
    std::vector<std::size_t> changed = variants_.assign(variants);
    for (const std::size_t i : changed) {
      derive_constants(i);
      start_episode(i);
    }
    return changed;
  }

  [[nodiscard]] std::span<const std::int32_t> variant_of() const noexcept override {
    return variants_.variant_of();
  }

  void get_state(std::size_t i, std::span<float> state) const override {
    check_index(i);
    check_size("state", kS, state.size());
    for (std::size_t k = 0; k < kS; ++k) state[k] = state_[k][i];
  }

  void set_state(std::size_t i, std::span<const float> state, std::size_t elapsed_steps) override {
    check_index(i);
    check_size("state", kS, state.size());
    check_finite("state", state);
    if (elapsed_steps >= E::kSpec.max_episode_steps) {
      throw_invalid("elapsed_steps must be below " + std::to_string(E::kSpec.max_episode_steps) + ", got " +
                    std::to_string(elapsed_steps));
    }
    for (std::size_t k = 0; k < kS; ++k) state_[k][i] = state[k];
    elapsed_[0][i] = static_cast<std::int32_t>(elapsed_steps);
    returns_[0][i] = 0.0F;
  }

  /// Copy out env `i`, for a device that steps it elsewhere.
  [[nodiscard]] EnvRow<E> row(std::size_t i) const noexcept {
    const SeedRange seeds = variants_.seeds(i);
    return {state_at(i),       constants_at(i), elapsed_[0][i], returns_[0][i],
            episode_seeds_[i], seeds.start,     seeds.end};
  }

  /// Take env `i` back from such a device. Its constants and seeds stay: those of its variant.
  void set_row(std::size_t i, const EnvRow<E>& row) noexcept {
    for (std::size_t k = 0; k < kS; ++k) state_[k][i] = row.state[k];
    elapsed_[0][i] = row.elapsed;
    returns_[0][i] = row.episode_return;
    episode_seeds_[i] = row.episode_seeds;
  }

  void save(BlobWriter& writer) const override {
    writer.put("env.name", E::kSpec.name);
    writer.put("env.num_envs", static_cast<std::uint64_t>(num_envs()));
    variants_.save(writer);
    for (std::size_t k = 0; k < kS; ++k) writer.put("env.state", state_[k]);
    writer.put("env.elapsed_steps", elapsed_[0]);
    writer.put("env.returns", returns_[0]);
    std::vector<std::uint64_t> streams;
    for (const Rng& rng : episode_seeds_) {
      streams.insert(streams.end(), {rng.state().state, rng.state().increment});
    }
    writer.put("env.streams", streams);
  }

  void load(BlobReader& reader) override {
    if (const std::string name = reader.get_text("env.name", kMaxEnvName); name != E::kSpec.name) {
      throw BlobError("saved by env '" + name + "', this is '" + std::string(E::kSpec.name) + "'");
    }
    if (const auto n = reader.get<std::uint64_t>("env.num_envs"); n != num_envs()) {
      throw BlobError("saved by " + std::to_string(n) + " envs, this batch has " +
                      std::to_string(num_envs()));
    }
    VariantTable variants(E::kSpec, num_envs());
    variants.load(reader);
    Columns<float, kS> state(num_envs());
    for (std::size_t k = 0; k < kS; ++k) reader.get("env.state", state[k]);
    Columns<std::int32_t, 1> elapsed(num_envs());
    reader.get("env.elapsed_steps", elapsed[0]);
    Columns<float, 1> returns(num_envs());
    reader.get("env.returns", returns[0]);
    std::vector<std::uint64_t> streams(2 * num_envs());
    reader.get("env.streams", streams);
    reader.expect_end();
    check_loaded(state, elapsed[0], returns[0], streams);

    variants_ = std::move(variants);
    state_ = std::move(state);
    elapsed_ = std::move(elapsed);
    returns_ = std::move(returns);
    for (std::size_t i = 0; i < num_envs(); ++i) {
      episode_seeds_[i] = Rng::from_state({streams[2 * i], streams[2 * i + 1]});
      derive_constants(i);
    }
  }

 private:
  static constexpr std::size_t kS = E::kSpec.state_dim;
  static constexpr std::size_t kD = E::kSpec.obs_dim;
  static constexpr std::size_t kA = E::kSpec.action_dim;
  static constexpr std::size_t kC = std::tuple_size_v<typename E::Constants>;
  static constexpr std::size_t kGrain = 2048;  // envs, below which a second thread costs more than it brings

  [[nodiscard]] StepColumns<E> columns(std::size_t begin, const float* actions,
                                       const StepOutput& out) noexcept {
    StepColumns<E> columns;
    for (std::size_t k = 0; k < kS; ++k) columns.state[k] = state_[k].data() + begin;
    for (std::size_t k = 0; k < kC; ++k) columns.constants[k] = constants_[k].data() + begin;
    columns.elapsed = elapsed_[0].data() + begin;
    columns.returns = returns_[0].data() + begin;
    columns.actions = actions + begin * kA;
    columns.observations = out.observations.data() + begin * kD;
    columns.rewards = out.rewards.data() + begin;
    columns.terminated = out.terminated.data() + begin;
    columns.truncated = out.truncated.data() + begin;
    return columns;
  }

  // First who has ended, then all new episodes: looking and restarting in turn, the processor guesses wrong
  // at each env that ended and cannot begin one restart before the last is done.
  void restart_ended(std::size_t begin, std::size_t end, const StepOutput& out) noexcept {
    std::array<std::uint32_t, kStepRun + kResetBlock> ended;
    const std::size_t count = list_ended(begin, end, out, ended.data());
    std::array<std::uint64_t, kStepRun + kResetBlock> seeds;
    for (std::size_t k = 0; k < count; ++k) seeds[k] = next_episode_seed(ended[k]);
    const std::size_t blocks = (count + kResetBlock - 1) / kResetBlock;
    for (std::size_t k = count; k < blocks * kResetBlock;
         ++k) {  // whole blocks; what is too many is not used
      ended[k] = static_cast<std::uint32_t>(begin);
      seeds[k] = 0;
    }
    std::array<std::array<float, kStepRun + kResetBlock>, kS> fresh;
    ResetColumns<E> columns{{}, ended.data(), seeds.data(), {}};
    for (std::size_t k = 0; k < kC; ++k) columns.constants[k] = constants_[k].data();
    for (std::size_t k = 0; k < kS; ++k) columns.state[k] = fresh[k].data();
    reset_(columns, blocks);
    for (std::size_t k = 0; k < count; ++k) {
      report_episode(ended[k], out);
      begin_episode(ended[k], read<typename E::State>(fresh, k, Indices<kS>()));
      put_observation(ended[k], out.observations.data());
    }
  }

  static std::size_t list_ended(std::size_t begin, std::size_t end, const StepOutput& out,
                                std::uint32_t* ended) noexcept {
    std::size_t count = 0;
    for (std::size_t i = begin; i < end; i += 64) {
      const std::size_t n = std::min(end - i, std::size_t{64});
      std::uint64_t bits = flag_bits(out.terminated.data() + i, out.truncated.data() + i, n);
      for (; bits != 0; bits &= bits - 1) {
        ended[count++] = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(std::countr_zero(bits));
      }
    }
    return count;
  }

  void report_episode(std::size_t i, const StepOutput& out) const noexcept {
    std::copy_n(out.observations.data() + i * kD, kD, out.final_observations.data() + i * kD);
    out.episode_returns[i] = returns_[0][i];
    out.episode_lengths[i] = elapsed_[0][i];
  }

  void start_episode(std::size_t i) noexcept {
    Rng rng(next_episode_seed(i));
    begin_episode(i, E::reset(constants_at(i), rng));
  }

  [[nodiscard]] std::uint64_t next_episode_seed(std::size_t i) noexcept {
    const SeedRange seeds = variants_.seeds(i);
    return seeds.start + episode_seeds_[i].below(seeds.end - seeds.start);
  }

  void begin_episode(std::size_t i, const typename E::State& state) noexcept {
    for (std::size_t k = 0; k < kS; ++k) state_[k][i] = state[k];
    elapsed_[0][i] = 0;
    returns_[0][i] = 0.0F;
  }

  void derive_constants(std::size_t i) {
    const typename E::Constants constants = E::derive(variants_.params(i));
    for (std::size_t k = 0; k < kC; ++k) constants_[k][i] = constants[k];
  }

  [[nodiscard]] typename E::State state_at(std::size_t i) const noexcept {
    typename E::State state;
    for (std::size_t k = 0; k < kS; ++k) state[k] = state_[k][i];
    return state;
  }

  [[nodiscard]] typename E::Constants constants_at(std::size_t i) const noexcept {
    typename E::Constants constants;
    for (std::size_t k = 0; k < kC; ++k) constants[k] = constants_[k][i];
    return constants;
  }

  void put_observation(std::size_t i, float* rows) const noexcept {
    const typename E::Observation observation = E::observe(constants_at(i), state_at(i));
    for (std::size_t k = 0; k < kD; ++k) rows[i * kD + k] = observation[k];
  }

  void check_index(std::size_t i) const {
    if (i >= num_envs()) {
      throw_invalid("env index must be below " + std::to_string(num_envs()) + ", got " + std::to_string(i));
    }
  }

  void assert_sizes(std::span<const float> actions, const StepOutput& out) const noexcept {
    const std::size_t n = num_envs();
    MURMUR_ASSERT(actions.size() == n * kA);
    MURMUR_ASSERT(out.observations.size() == n * kD);
    MURMUR_ASSERT(out.rewards.size() == n);
    MURMUR_ASSERT(out.terminated.size() == n);
    MURMUR_ASSERT(out.truncated.size() == n);
    MURMUR_ASSERT(out.final_observations.size() == n * kD);
    MURMUR_ASSERT(out.episode_returns.size() == n);
    MURMUR_ASSERT(out.episode_lengths.size() == n);
  }

  static void check_loaded(const Columns<float, kS>& state, std::span<const std::int32_t> elapsed,
                           std::span<const float> returns, std::span<const std::uint64_t> streams) {
    const auto finite = [](float value) { return std::isfinite(value); };
    for (std::size_t k = 0; k < kS; ++k) {
      if (!std::ranges::all_of(state[k], finite))
        throw BlobError("field 'env.state' holds a value that is not finite");
    }
    if (!std::ranges::all_of(returns, finite))
      throw BlobError("field 'env.returns' holds a value that is not finite");
    if (!std::ranges::all_of(elapsed, [](std::int32_t steps) { return steps >= 0 && steps < kMaxSteps; })) {
      throw BlobError("field 'env.elapsed_steps' holds a count outside the episode");
    }
    for (std::size_t i = 1; i < streams.size(); i += 2) {
      if (streams[i] % 2 == 0) throw BlobError("field 'env.streams' holds an even increment");
    }
  }

  static constexpr auto kMaxSteps = static_cast<std::int32_t>(E::kSpec.max_episode_steps);

  StepKernel<E> step_;
  ResetKernel<E> reset_;
  std::shared_ptr<ThreadPool> pool_;
  VariantTable variants_;
  Columns<float, kS> state_;                                  // S columns of [N]
  Columns<typename E::Constants::value_type, kC> constants_;  // C columns of [N]
  Columns<std::int32_t, 1> elapsed_;                          // [N], steps of the running episode
  Columns<float, 1> returns_;                                 // [N], its reward so far
  std::vector<Rng> episode_seeds_;                            // [N], draws the next episode's seed
};

}  // namespace murmur
