// Transposition of a matrix, in tiles of 4 x 4 that are turned in registers, and in blocks of tiles: all
// lines that a block touches stay in the first cache until they have been read and written whole, however
// wide the matrix.
#if defined(MURMUR_KERNELS_TRANSPOSE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MURMUR_KERNELS_TRANSPOSE_INL
#undef MURMUR_KERNELS_TRANSPOSE_INL
#else
#define MURMUR_KERNELS_TRANSPOSE_INL
#endif

#include <algorithm>

#include "kernels/vec16_inl.hpp"
#include "murmur/kernels/kernel_set.hpp"

HWY_BEFORE_NAMESPACE();
namespace murmur::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
constexpr std::size_t kTile = 4;
constexpr std::size_t kBlock = 16;  // one cache line of floats each way

HWY_INLINE void transpose_tile(const float* from, std::size_t from_stride, float* to, std::size_t to_stride) {
  const hn::Full128<float> four;
  const auto row0 = hn::LoadU(four, from), row1 = hn::LoadU(four, from + from_stride),
             row2 = hn::LoadU(four, from + 2 * from_stride), row3 = hn::LoadU(four, from + 3 * from_stride);
  const auto lower01 = hn::InterleaveLower(four, row0, row1), upper01 = hn::InterleaveUpper(four, row0, row1),
             lower23 = hn::InterleaveLower(four, row2, row3), upper23 = hn::InterleaveUpper(four, row2, row3);
  hn::StoreU(hn::ConcatLowerLower(four, lower23, lower01), four, to);
  hn::StoreU(hn::ConcatUpperUpper(four, lower23, lower01), four, to + to_stride);
  hn::StoreU(hn::ConcatLowerLower(four, upper23, upper01), four, to + 2 * to_stride);
  hn::StoreU(hn::ConcatUpperUpper(four, upper23, upper01), four, to + 3 * to_stride);
}
#endif

void transpose(const Transpose& a) noexcept {
  std::size_t rows = 0, columns = 0;  // in tiles
#if HWY_TARGET != HWY_SCALAR
  rows = a.rows / kTile * kTile;
  columns = a.columns / kTile * kTile;
  for (std::size_t first_row = 0; first_row < rows; first_row += kBlock) {
    const std::size_t last_row = std::min(rows, first_row + kBlock);
    for (std::size_t first_column = 0; first_column < columns; first_column += kBlock) {
      const std::size_t last_column = std::min(columns, first_column + kBlock);
      for (std::size_t column = first_column; column < last_column; column += kTile) {
        for (std::size_t row = first_row; row < last_row; row += kTile) {
          transpose_tile(a.from + row * a.from_stride + column, a.from_stride,
                         a.to + column * a.to_stride + row, a.to_stride);
        }
      }
    }
  }
#endif
  for (std::size_t row = 0; row < a.rows; ++row) {
    for (std::size_t column = row < rows ? columns : 0; column < a.columns; ++column)
      a.to[column * a.to_stride + row] = a.from[row * a.from_stride + column];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace murmur::kernels
HWY_AFTER_NAMESPACE();

#endif
