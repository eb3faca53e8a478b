#pragma once
// The loops of aggregation for one instruction set. All sets give the same bytes: every number is defined by
// IEEE 754 operations in an order that is fixed here and not by the width of a register.
//
//   Fixed point   q = round_to_nearest_even(double(delta) * scaled_share), added up as integers.
//   Norms         in a slice of kSlice coordinates, lane j of 16 adds coordinates j, 16 + j, ...; the lanes
//                 are folded in halves (8, 4, 2, 1); slices are added in order by the caller.
//   Distances     as norms, but in blocks of kBlock coordinates, whose differences, squares, lanes and fold
//                 are in single precision; blocks are added in order in double precision, and slices by
//                 the caller.
//
// The same definitions in Python: peer/aggregation/kernels.py.

#include <cstddef>
#include <cstdint>

#include "murmur/base/instruction_set.hpp"

namespace murmur::aggregation {

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kSlice = 65536;      // coordinates of one partial sum
inline constexpr std::size_t kBlock = 4096;       // coordinates that are summed in single precision
inline constexpr std::size_t kMaxDeltas = 64;     // as many as a manifest admits
inline constexpr float kMaxMagnitude = 32768.0F;  // of a coordinate of a delta
inline constexpr int kScaleBits = 35;  // 2^15 * 2^35 = 2^50: sums of shares <= 1 stay exact in a double

/// All pointers to [n] or more floats; no alignment needed.
struct KernelSet {
  /// Sum of squares of n <= kSlice coordinates.
  double (*sum_of_squares)(const float* delta, std::size_t n) noexcept;

  /// Squared distances of n <= kSlice coordinates, of the pairs i < j in the order (0,1), (0,2), ..., (1,2),
  /// ..., into out [K (K - 1) / 2]. Returns the largest bit pattern of an absolute value met; above that of
  /// kMaxMagnitude for what is out of range, infinite or NaN.
  std::uint32_t (*squared_distances)(const float* const* deltas, std::size_t count, std::size_t n,
                                     double* out) noexcept;

  /// out[i] = sum over k of the fixed-point products. scaled_shares: share * 2^kScaleBits. Returns as
  /// `squared_distances`.
  std::uint32_t (*weighted_sum)(const float* const* deltas, const double* scaled_shares, std::size_t count,
                                std::size_t n, float* out) noexcept;

  /// out[i] = mean of sorted values [trim, count - trim). Returns as `weighted_sum`.
  std::uint32_t (*trimmed_mean)(const float* const* deltas, std::size_t count, std::size_t trim,
                                std::size_t n, float* out) noexcept;
};

/// Return the loops for `set`, which this processor must have.
[[nodiscard]] const KernelSet& kernel_set(InstructionSet set) noexcept;

}  // namespace murmur::aggregation
