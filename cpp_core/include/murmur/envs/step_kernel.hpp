#pragma once
// The loop that steps a run of envs, once per instruction set.
//
// One source, several functions: each wrapper at the end has a target attribute and inlines all of the loop,
// which the compiler then vectorises for that target. Compiling whole files with -mavx512f instead would also
// put such code into inline functions that the linker may pick for everybody, and crash older machines.

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "murmur/base/instruction_set.hpp"
#include "murmur/envs/env.hpp"
#include "murmur/envs/env_columns.hpp"

namespace murmur {

/// Columns of the envs to step, and where the outcome goes; nothing overlaps. The caller owns all of it.
template <Environment E>
struct StepColumns {
  std::array<float*, E::kSpec.state_dim> state;  // each [n]
  std::array<const typename E::Constants::value_type*, std::tuple_size_v<typename E::Constants>>
      constants;             // each [n]
  std::int32_t* elapsed;     // [n], steps of the running episode
  float* returns;            // [n], its reward so far
  const float* actions;      // [n, A]
  float* observations;       // [n, D]
  float* rewards;            // [n]
  std::uint8_t* terminated;  // [n]
  std::uint8_t* truncated;   // [n]
};

/// Step `n` envs, at most kStepRun; return whether any episode ended. Restarts none.
template <Environment E>
using StepKernel = bool (*)(const StepColumns<E>& columns, std::size_t n) noexcept;

inline constexpr std::size_t kStepRun = 256;  // with its columns, a run stays in L1

// This is what must vectorise: columns are read through local pointers, because the compiler cannot know that
// a write leaves the pointers themselves alone, and flags are gathered as 32-bit integers, one lane each like
// the floats. No aggregate is const: GCC would keep it in memory.
template <Environment E>
[[gnu::always_inline]] inline bool step_run(const StepColumns<E>& columns, std::size_t n) noexcept {
  constexpr std::size_t kS = E::kSpec.state_dim, kD = E::kSpec.obs_dim, kA = E::kSpec.action_dim;
  constexpr std::size_t kC = std::tuple_size_v<typename E::Constants>;
  constexpr auto kMaxSteps = static_cast<std::int32_t>(E::kSpec.max_episode_steps);
  const auto [state, constants, elapsed, returns, actions, observations, rewards, terminated, truncated] =
      columns;
  std::array<std::int32_t, kStepRun> ended;  // bit 0: terminated, bit 1: truncated
  std::int32_t any = 0;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep  // columns and outputs do not overlap
#endif
  for (std::size_t i = 0; i < n; ++i) {
    typename E::State s = read<typename E::State>(state, i, Indices<kS>());
    auto c = read<typename E::Constants>(constants, i, Indices<kC>());
    StepOutcome outcome = E::step(c, s, read_row<typename E::Action>(actions + i * kA, Indices<kA>()));
    write(s, state, i, Indices<kS>());
    write_row(E::observe(c, s), observations + i * kD, Indices<kD>());
    elapsed[i] += 1;
    returns[i] += outcome.reward;
    rewards[i] = outcome.reward;
    const std::int32_t flags = (outcome.terminated ? 1 : 0) | (elapsed[i] >= kMaxSteps ? 2 : 0);
    ended[i] = flags;
    any |= flags;
  }
  for (std::size_t i = 0; i < n; ++i) {
    terminated[i] = static_cast<std::uint8_t>(ended[i] & 1);
    truncated[i] = static_cast<std::uint8_t>(ended[i] >> 1);
  }
  return any != 0;
}

template <Environment E>
[[gnu::flatten]] bool step_run_baseline(const StepColumns<E>& columns, std::size_t n) noexcept {
  return step_run<E>(columns, n);
}

#if defined(__x86_64__)
template <Environment E>
[[gnu::target("avx2"), gnu::flatten]] bool step_run_avx2(const StepColumns<E>& columns,
                                                         std::size_t n) noexcept {
  return step_run<E>(columns, n);
}

template <Environment E>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), gnu::flatten]] bool
step_run_avx512(const StepColumns<E>& columns, std::size_t n) noexcept {
  return step_run<E>(columns, n);
}
#endif

/// Return the kernel for `set`, which this processor must have.
template <Environment E>
[[nodiscard]] constexpr StepKernel<E> step_kernel([[maybe_unused]] InstructionSet set) noexcept {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return &step_run_avx512<E>;
  if (set == InstructionSet::kAvx2) return &step_run_avx2<E>;
#endif
  return &step_run_baseline<E>;
}

}  // namespace murmur
