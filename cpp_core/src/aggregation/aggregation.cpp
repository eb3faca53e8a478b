#include "murmur/aggregation/aggregation.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include "murmur/base/check.hpp"

namespace murmur {
namespace {

using aggregation::kSlice;
using Pointers = std::array<const float*, aggregation::kMaxDeltas>;

constexpr double kRoundingSlack = 1e-9;  // shares are quotients, each rounded once
constexpr std::size_t kGrain = 16384;    // coordinates that are worth waking a thread for

Pointers check_deltas(std::span<const Delta> deltas) {
  if (deltas.empty() || deltas.size() > aggregation::kMaxDeltas) {
    throw_invalid("a rule takes 1 to " + std::to_string(aggregation::kMaxDeltas) + " contributions, got " +
                  std::to_string(deltas.size()));
  }
  Pointers pointers{};
  for (std::size_t k = 0; k < deltas.size(); ++k) {
    check_size("a delta", deltas[0].size(), deltas[k].size());
    pointers[k] = deltas[k].data();
  }
  return pointers;
}

void check_shares(std::span<const double> shares, std::size_t count) {
  check_size("shares", count, shares.size());
  double total = 0.0;
  for (const double share : shares) total += std::abs(share);
  if (!(total <= 1.0 + kRoundingSlack)) {
    throw_invalid("the absolute shares must sum to at most 1, got " + to_text(total));
  }
}

/// The largest magnitude that any thread met, as bits.
class LargestMet {
 public:
  void note(std::uint32_t bits) noexcept {
    std::uint32_t known = bits_.load();
    while (known < bits && !bits_.compare_exchange_weak(known, bits)) {
    }
  }
  void check() const {
    if (bits_.load() > std::bit_cast<std::uint32_t>(aggregation::kMaxMagnitude))
      throw_invalid("a delta must be finite and within 32768");
  }

 private:
  std::atomic<std::uint32_t> bits_{0};
};

Pointers advanced(const Pointers& deltas, std::size_t count, std::size_t offset) noexcept {
  Pointers moved{};
  for (std::size_t k = 0; k < count; ++k) moved[k] = deltas[k] + offset;
  return moved;
}

std::size_t num_slices(std::size_t size) noexcept {
  return (size + kSlice - 1) / kSlice;
}

}  // namespace

Aggregation::Aggregation(std::shared_ptr<ThreadPool> pool, InstructionSet set)
    : pool_(std::move(pool)), kernels_(aggregation::kernel_set(set)) {}

double Aggregation::l2_norm(Delta delta) const {
  std::vector<double> slices(num_slices(delta.size()));
  pool_->parallel_tasks(slices.size(), [&](std::size_t begin, std::size_t end) noexcept {
    for (std::size_t s = begin; s < end; ++s) {
      slices[s] =
          kernels_.sum_of_squares(delta.data() + s * kSlice, std::min(kSlice, delta.size() - s * kSlice));
    }
  });
  double total = 0.0;
  for (const double slice : slices) total += slice;
  return std::sqrt(total);
}

void Aggregation::weighted_sum(std::span<const Delta> deltas, std::span<const double> shares,
                               std::span<float> out) const {
  const Pointers pointers = check_deltas(deltas);
  check_shares(shares, deltas.size());
  check_size("out", deltas[0].size(), out.size());
  std::array<double, aggregation::kMaxDeltas> scaled{};
  for (std::size_t k = 0; k < shares.size(); ++k) scaled[k] = std::ldexp(shares[k], aggregation::kScaleBits);
  LargestMet largest;
  pool_->parallel_for(out.size(), kGrain, [&](std::size_t begin, std::size_t end) noexcept {
    const Pointers from = advanced(pointers, deltas.size(), begin);
    largest.note(
        kernels_.weighted_sum(from.data(), scaled.data(), deltas.size(), end - begin, out.data() + begin));
  });
  largest.check();
}

void Aggregation::squared_distances(std::span<const Delta> deltas, std::span<double> out) const {
  const Pointers pointers = check_deltas(deltas);
  const std::size_t count = deltas.size(), size = deltas[0].size(), pairs = count * (count - 1) / 2;
  check_size("out", count * count, out.size());
  const std::size_t slices = num_slices(size);
  std::vector<double> sums(slices * pairs);
  LargestMet largest;
  pool_->parallel_tasks(slices, [&](std::size_t begin, std::size_t end) noexcept {
    for (std::size_t s = begin; s < end; ++s) {
      const Pointers from = advanced(pointers, count, s * kSlice);
      const std::size_t length = std::min(kSlice, size - s * kSlice);
      largest.note(kernels_.squared_distances(from.data(), count, length, sums.data() + s * pairs));
    }
  });
  largest.check();
  std::fill(out.begin(), out.end(), 0.0);
  std::size_t pair = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i + 1; j < count; ++j, ++pair) {
      double total = 0.0;
      for (std::size_t s = 0; s < slices; ++s) total += sums[s * pairs + pair];
      out[i * count + j] = out[j * count + i] = total;
    }
  }
}

void Aggregation::trimmed_mean(std::span<const Delta> deltas, std::size_t trim, std::span<float> out) const {
  const Pointers pointers = check_deltas(deltas);
  if (trim > (deltas.size() - 1) / 2) {  // 2 * trim may overflow
    throw_invalid("expected 0 <= 2 * trim < " + std::to_string(deltas.size()) + " deltas, got trim " +
                  std::to_string(trim));
  }
  check_size("out", deltas[0].size(), out.size());
  LargestMet largest;
  pool_->parallel_for(out.size(), kGrain, [&](std::size_t begin, std::size_t end) noexcept {
    const Pointers from = advanced(pointers, deltas.size(), begin);
    largest.note(kernels_.trimmed_mean(from.data(), deltas.size(), trim, end - begin, out.data() + begin));
  });
  largest.check();
}

}  // namespace murmur
