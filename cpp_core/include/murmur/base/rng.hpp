#pragma once
// One small stream of random numbers per env, per sampler, per anything that must not depend on thread
// timing.
//
// Generator: PCG32 (XSH-RR 64/32), O'Neill 2014, "PCG: A Family of Simple Fast Space-Efficient Statistically
// Good Algorithms for Random Number Generation". Seeds pass through SplitMix64 (Steele, Lea, Flood 2014), so
// that neighbouring seeds and streams start far apart. std:: distributions are avoided: their output differs
// between standard libraries, and every peer must draw the same numbers from the same seed.

#include <bit>
#include <cstdint>

namespace murmur {

/// Mix 64 bits into 64 well-spread bits (a bijection): the finaliser of SplitMix64.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// The whole state of an `Rng`, for checkpoints. `increment` must be odd.
struct RngState {
  std::uint64_t state = 0;
  std::uint64_t increment = 1;
  friend constexpr bool operator==(const RngState&, const RngState&) = default;
};

/// A stream of random numbers, fixed by (seed, stream); 16 bytes, cheap to copy and to create.
class Rng {
 public:
  constexpr Rng() noexcept : Rng(0) {}

  constexpr explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) noexcept {
    const std::uint64_t key = mix64(seed);
    start(mix64(key ^ mix64(stream)), mix64(key + mix64(~stream)));
  }

  /// Return the reference generator `pcg32_srandom_r(initial_state, sequence)`, without the seed mixing.
  [[nodiscard]] static constexpr Rng pcg32(std::uint64_t initial_state, std::uint64_t sequence) noexcept {
    Rng rng;
    rng.start(initial_state, sequence);
    return rng;
  }

  /// Continue from a saved state.
  [[nodiscard]] static constexpr Rng from_state(RngState state) noexcept {
    Rng rng;
    rng.s_ = state;
    return rng;
  }

  [[nodiscard]] constexpr RngState state() const noexcept { return s_; }

  constexpr std::uint32_t next_u32() noexcept {
    const std::uint64_t old = s_.state;
    s_.state = old * 6364136223846793005ULL + s_.increment;
    const auto shifted = static_cast<std::uint32_t>(((old >> 18U) ^ old) >> 27U);
    return std::rotr(shifted, static_cast<int>(old >> 59U));
  }

  constexpr std::uint64_t next_u64() noexcept {
    const std::uint64_t high = next_u32();
    return (high << 32U) | next_u32();
  }

  /// Draw from [0, 1): one of 2^24 equally likely floats, each exact.
  constexpr float uniform() noexcept { return static_cast<float>(next_u32() >> 8U) * 0x1p-24F; }

  /// Draw from [low, high).
  constexpr float uniform(float low, float high) noexcept {
    const float value = low + (high - low) * uniform();
    return value < high ? value : low;  // rounding may reach `high`
  }

  /// Draw from [0, 1): one of 2^53 equally likely doubles, each exact.
  constexpr double uniform_double() noexcept { return static_cast<double>(next_u64() >> 11U) * 0x1p-53; }

  /// Draw an integer from [0, bound) without bias. `bound` must not be 0.
  constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    // Masked rejection: at most two draws on average, and the same result on every platform.
    // By hand: nvcc 13.0 compiles std::countl_zero of 64 bits into a constant, without a word.
    std::uint64_t mask = (bound - 1) | 1U;
    for (unsigned shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
    for (;;) {
      const std::uint64_t value = (mask >> 32U) == 0 ? next_u32() & mask : next_u64() & mask;
      if (value < bound) return value;
    }
  }

 private:
  constexpr void start(std::uint64_t initial_state, std::uint64_t sequence) noexcept {
    s_ = {0, (sequence << 1U) | 1U};
    next_u32();
    s_.state += initial_state;
    next_u32();
  }

  RngState s_;
};

}  // namespace murmur
