/// Count, mean and sum of squared deviations on the device: in double, in an order that no device changes.
#pragma once

#include <cstdint>

#include "cuda/block.hpp"

namespace murmur::cuda {

struct Moments {
  double count, mean, m2;
};

/// The moments of both (Chan, Golub and LeVeque 1979), as RunningMoments merges them.
MURMUR_HOST_DEVICE inline Moments merged(const Moments& a, const Moments& b) noexcept {
  if (b.count == 0.0) return a;
  const double total = a.count + b.count;
  const double delta = b.mean - a.mean;
  return {total, a.mean + delta * (b.count / total),
          a.m2 + (b.m2 + delta * delta * (a.count * b.count / total))};
}

/// Shared memory of `block_sum` and of `block_moments`, in doubles.
inline constexpr int kSumLanes = 32;
inline constexpr int kSumScratch = kThreads + kSumLanes;
inline constexpr int kMomentsScratch = kSumScratch + 2;

/// Sum term(i) for i in [begin, end) into `result`; `scratch`: kSumScratch doubles. All in shared memory.
template <class Block, class Term>
MURMUR_HOST_DEVICE void block_sum(Block& block, int begin, int end, double* scratch, double* result,
                                  const Term& term) {
  block.each([&](int thread) {
    double sum = 0.0;
    for (int i = begin + thread; i < end; i += kThreads) sum += term(i);
    scratch[thread] = sum;
  });
  block.each([&](int thread) {
    if (thread >= kSumLanes) return;
    double sum = 0.0;
    for (int i = thread; i < kThreads; i += kSumLanes) sum += scratch[i];
    scratch[kThreads + thread] = sum;
  });
  block.each([&](int thread) {
    if (thread != 0) return;
    double sum = 0.0;
    for (int i = 0; i < kSumLanes; ++i) sum += scratch[kThreads + i];
    *result = sum;
  });
}

/// The moments of value(i), a double, for i in [begin, end), begin < end, by two passes. Every thread gets
/// them. `scratch`: kMomentsScratch doubles of shared memory, not to be used again by the block.
template <class Block, class Value>
MURMUR_HOST_DEVICE Moments block_moments(Block& block, int begin, int end, double* scratch,
                                         const Value& value) {
  double* const sum = scratch + kSumScratch;
  double* const squares = sum + 1;  // of its own: others may still read `sum`
  const auto count = static_cast<double>(end - begin);
  block_sum(block, begin, end, scratch, sum, value);
  const double mean = *sum / count;
  block_sum(block, begin, end, scratch, squares, [&](int i) {
    const double deviation = value(i) - mean;
    return deviation * deviation;
  });
  return {count, mean, *squares};
}

/// Samples that one block reduces.
inline constexpr int kMomentsChunk = 1024;
[[nodiscard]] MURMUR_HOST_DEVICE constexpr int num_moment_chunks(int size) noexcept {
  return (size + kMomentsChunk - 1) / kMomentsChunk;
}

/// Columns of `size` floats for ReduceMoments: those of `rows`, then up to two that lie apart.
struct MomentColumns {
  const float* rows = nullptr;  // [size, width]
  int width = 0;
  const float* extra[2] = {};  // each [size]
  const float* minus[2] = {};  // subtracted from `extra` if not null
  int num_extra = 0;

  [[nodiscard]] MURMUR_HOST_DEVICE int count() const noexcept { return width + num_extra; }
  [[nodiscard]] MURMUR_HOST_DEVICE double at(int column, int i) const noexcept {
    if (column < width) return static_cast<double>(rows[static_cast<std::size_t>(i) * width + column]);
    const int k = column - width;
    const auto value = static_cast<double>(extra[k][i]);
    return minus[k] == nullptr ? value : value - static_cast<double>(minus[k][i]);
  }
};

/// Grid: columns.count() * chunks blocks. Writes chunks[column, chunk].
struct ReduceMoments {
  static constexpr std::size_t kShared = kMomentsScratch * sizeof(double);
  MomentColumns columns;
  int size;
  Moments* chunks;

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    const int num_chunks = num_moment_chunks(size);
    const int column = block.index() / num_chunks, begin = block.index() % num_chunks * kMomentsChunk;
    const Moments moments =
        block_moments(block, begin, smaller(begin + kMomentsChunk, size), block.template shared<double>(0),
                      [&](int i) { return columns.at(column, i); });
    block.each([&](int thread) {
      if (thread == 0) chunks[block.index()] = moments;
    });
  }
};

/// Grid: one block per column. Merges chunks[column, ...] into totals[column], as a tree.
struct MergeMoments {
  static constexpr std::size_t kShared = kThreads * sizeof(Moments);
  int num_chunks;
  const Moments* chunks;
  Moments* totals;

  template <class Block>
  MURMUR_HOST_DEVICE void operator()(Block& block) const {
    Moments* const partial = block.template shared<Moments>(0);
    block.each([&](int thread) {
      Moments total{};
      for (int c = thread; c < num_chunks; c += kThreads)
        total = merged(total, chunks[block.index() * num_chunks + c]);
      partial[thread] = total;
    });
    for (int half = kThreads / 2; half > 0; half /= 2) {
      if (half >= num_chunks) continue;  // that half is empty
      block.each([&](int thread) {
        if (thread < half) partial[thread] = merged(partial[thread], partial[thread + half]);
      });
    }
    block.each([&](int thread) {
      if (thread == 0) totals[block.index()] = partial[0];
    });
  }
};

}  // namespace murmur::cuda
