#pragma once
// The loop that draws the first states of many new episodes at once, once per instruction set; compiled as
// the loop that steps them is (step_kernel.hpp).

#include <array>
#include <cstddef>
#include <cstdint>
#include <tuple>

#include "murmur/base/instruction_set.hpp"
#include "murmur/base/rng.hpp"
#include "murmur/envs/env.hpp"
#include "murmur/envs/env_columns.hpp"

namespace murmur {

inline constexpr std::size_t kResetBlock = 16;  // the widest vector of floats

/// The episodes to begin, in whole blocks. The caller owns all of it.
template <Environment E>
struct ResetColumns {
  std::array<const typename E::Constants::value_type*, std::tuple_size_v<typename E::Constants>>
      constants;                                 // each [N], of all envs
  const std::uint32_t* envs;                     // [blocks * kResetBlock], whose constants to take
  const std::uint64_t* seeds;                    // [blocks * kResetBlock], of each episode
  std::array<float*, E::kSpec.state_dim> state;  // each [blocks * kResetBlock]
};

/// Draw the first state of each episode from its seed.
template <Environment E>
using ResetKernel = void (*)(const ResetColumns<E>& columns, std::size_t blocks) noexcept;

template <Environment E>
[[gnu::always_inline]] inline void reset_run(const ResetColumns<E>& columns, std::size_t blocks) noexcept {
  constexpr std::size_t kC = std::tuple_size_v<typename E::Constants>;
  const auto [constants, envs, seeds, state] = columns;
  const std::size_t n = blocks * kResetBlock;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep  // columns do not overlap
#endif
  for (std::size_t k = 0; k < n; ++k) {
    Rng rng(seeds[k]);
    auto c = read<typename E::Constants>(constants, envs[k], Indices<kC>());
    typename E::State s = E::reset(c, rng);
    write(s, state, k, Indices<E::kSpec.state_dim>());
  }
}

template <Environment E>
[[gnu::flatten]] void reset_run_baseline(const ResetColumns<E>& columns, std::size_t blocks) noexcept {
  reset_run<E>(columns, blocks);
}

#if defined(__x86_64__)
template <Environment E>
[[gnu::target("avx2"), gnu::flatten]] void reset_run_avx2(const ResetColumns<E>& columns,
                                                          std::size_t blocks) noexcept {
  reset_run<E>(columns, blocks);
}

template <Environment E>
[[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"), gnu::flatten]] void
reset_run_avx512(const ResetColumns<E>& columns, std::size_t blocks) noexcept {
  reset_run<E>(columns, blocks);
}
#endif

/// Return the kernel for `set`, which this processor must have.
template <Environment E>
[[nodiscard]] constexpr ResetKernel<E> reset_kernel([[maybe_unused]] InstructionSet set) noexcept {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return &reset_run_avx512<E>;
  if (set == InstructionSet::kAvx2) return &reset_run_avx2<E>;
#endif
  return &reset_run_baseline<E>;
}

}  // namespace murmur
