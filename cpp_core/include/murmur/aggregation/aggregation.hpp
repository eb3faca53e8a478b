#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "murmur/aggregation/kernel_set.hpp"
#include "murmur/base/thread_pool.hpp"

namespace murmur {

/// One delta: P parameters.
using Delta = std::span<const float>;

/// The arithmetic of aggregation: the same bytes for any processor, instruction set, number of threads and,
/// where sums are integers, order of the deltas. Definitions: murmur/aggregation/kernel_set.hpp.
///
/// All methods throw std::invalid_argument unless there are 1 to 64 deltas of one length.
class Aggregation {
 public:
  explicit Aggregation(std::shared_ptr<ThreadPool> pool, InstructionSet set = best_instruction_set());

  /// Euclidean norm, NaN or infinite when the delta is. One pass over P floats.
  [[nodiscard]] double l2_norm(Delta delta) const;

  /// Write the sum of share * delta, in fixed point, into `out`; one pass over K * P floats.
  /// Also throws when a delta is not finite or beyond kMaxMagnitude (`out` is then undefined), or the
  /// absolute shares sum to more than 1.
  void weighted_sum(std::span<const Delta> deltas, std::span<const double> shares,
                    std::span<float> out) const;

  /// Write the squared distance of each pair into `out`, [K, K]. Memory: K^2 / 2 doubles for each 65,536
  /// coordinates, so that slices can be added in order. Also throws as `weighted_sum`.
  void squared_distances(std::span<const Delta> deltas, std::span<double> out) const;

  /// Write per coordinate the mean without the `trim` smallest and largest values into `out`.
  /// Also throws as `weighted_sum`, and unless 2 * trim < K.
  void trimmed_mean(std::span<const Delta> deltas, std::size_t trim, std::span<float> out) const;

 private:
  std::shared_ptr<ThreadPool> pool_;
  const aggregation::KernelSet& kernels_;
};

}  // namespace murmur
