// Transposition and sums of columns against plain loops, on every instruction set, in sizes that fill the
// blocks of the kernels and in sizes that do not.

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "murmur/kernels/kernel_set.hpp"

namespace murmur::kernels {
namespace {

/// 0.5, 1.5, 2.5, ...: no two alike, and exact in every sum below.
std::vector<float> distinct(std::size_t size) {
  std::vector<float> out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(i) + 0.5F;
  return out;
}

TEST(MatrixKernels, TransposeTurnsEveryElementAndTouchesNothingElse) {
  constexpr float kUntouched = -1.0F;
  for (const KernelSet* set : available_kernels()) {
    for (const std::size_t rows : {1, 3, 4, 8, 13, 64}) {
      for (const std::size_t columns : {1, 2, 4, 7, 16, 33}) {
        const std::size_t from_stride = columns + 3, to_stride = rows + 5;
        const std::vector<float> from = distinct(rows * from_stride);
        std::vector<float> to(columns * to_stride, kUntouched);
        set->transpose({.rows = rows,
                        .columns = columns,
                        .from = from.data(),
                        .from_stride = from_stride,
                        .to = to.data(),
                        .to_stride = to_stride});
        for (std::size_t c = 0; c < columns; ++c) {
          for (std::size_t r = 0; r < to_stride; ++r) {
            EXPECT_EQ(to[c * to_stride + r], r < rows ? from[r * from_stride + c] : kUntouched)
                << set->name << ", " << rows << " x " << columns << " at " << r << ", " << c;
          }
        }
      }
    }
  }
}

TEST(MatrixKernels, ColumnSumsAddAllRows) {
  for (const KernelSet* set : available_kernels()) {
    for (const std::size_t columns : {16, 48, 64, 80, 144}) {
      for (const std::size_t rows : {1, 2, 37}) {
        for (const bool accumulate : {false, true}) {
          const std::vector<float> d = distinct(rows * columns);
          std::vector<float> sums(columns, 1000.0F), expected(columns, accumulate ? 1000.0F : 0.0F);
          for (std::size_t i = 0; i < d.size(); ++i) expected[i % columns] += d[i];
          set->column_sums({.rows = rows,
                            .columns = columns,
                            .d = d.data(),
                            .sums = sums.data(),
                            .accumulate = accumulate});
          EXPECT_EQ(sums, expected) << set->name << ", " << rows << " x " << columns;
        }
      }
    }
  }
}

}  // namespace
}  // namespace murmur::kernels
