// Matrix products of small MLPs in register blocks: R rows by C virtual vectors of accumulators.
//
// An element's sum runs over the inner dimension in order, one fused multiply-add a term, in every block
// shape; R and C change the speed and never a bit.
#if defined(MURMUR_KERNELS_DENSE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MURMUR_KERNELS_DENSE_INL
#undef MURMUR_KERNELS_DENSE_INL
#else
#define MURMUR_KERNELS_DENSE_INL
#endif

#include "kernels/math_inl.hpp"
#include "murmur/kernels/kernel_set.hpp"

HWY_BEFORE_NAMESPACE();
namespace murmur::kernels {
namespace HWY_NAMESPACE {

// Registers: 32 with AVX-512 and NEON, 16 with AVX2. 6 rows of accumulators, C vectors of weights and one
// broadcast must fit; scalar code gains nothing from blocks.
#if HWY_TARGET == HWY_SCALAR
constexpr int kMaxRows = 1;
constexpr int kMaxColumns = 1;
#elif HWY_TARGET <= HWY_AVX3
constexpr int kMaxRows = 6;
constexpr int kMaxColumns = 4;
#else
constexpr int kMaxRows = 6;
constexpr int kMaxColumns = 1;
#endif

// What happens to a finished sum before it is stored at out[row, column].
struct ApplyTanh {
  HWY_INLINE V16 operator()(const V16& sum, std::size_t /*at*/) const { return tanh(sum); }
};
struct ApplyRelu {
  HWY_INLINE V16 operator()(const V16& sum, std::size_t /*at*/) const {
    return choose(sum < fill(0.0F), fill(0.0F), sum);
  }
};
struct ApplySilu {
  HWY_INLINE V16 operator()(const V16& sum, std::size_t /*at*/) const { return silu(sum).value; }
};
struct ApplySiluAndKeepSlope {
  float* slope;
  HWY_INLINE V16 operator()(const V16& sum, std::size_t at) const {
    const Silu y = silu(sum);
    store(y.slope, slope + at);
    return y.value;
  }
};
struct TanhSlope {
  const float* h;
  HWY_INLINE V16 operator()(const V16& sum, std::size_t at) const {
    const V16 y = load(h + at);
    return sum * neg_fma(y, y, fill(1.0F));
  }
};
struct ReluSlope {
  const float* h;
  HWY_INLINE V16 operator()(const V16& sum, std::size_t at) const {
    return choose(fill(0.0F) < load(h + at), sum, fill(0.0F));
  }
};

struct KeptSlope {
  const float* slope;
  HWY_INLINE V16 operator()(const V16& sum, std::size_t at) const { return sum * load(slope + at); }
};

/// One call's operands, advanced to a block by the loops below.
struct Product {
  std::size_t inner;
  const float* x;
  std::size_t x_stride;
  const float* weights;
  const float* bias;  // null: start from zero
  float* out;
  std::size_t columns;
};

template <int R, int C, class Finish>
HWY_INLINE void product_block(const Product& m, std::size_t row, std::size_t column, const Finish& finish) {
  V16 sum[R][C];
  MURMUR_UNROLL
  for (int c = 0; c < C; ++c) {
    const V16 start =
        m.bias != nullptr ? load(m.bias + column + static_cast<std::size_t>(c) * kLanes) : fill(0.0F);
    MURMUR_UNROLL
    for (int r = 0; r < R; ++r) sum[r][c] = start;
  }
  const float* x = m.x + row * m.x_stride;
  const float* w = m.weights + column;
  for (std::size_t k = 0; k < m.inner; ++k, ++x, w += m.columns) {
    V16 weight[C];
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) weight[c] = load(w + static_cast<std::size_t>(c) * kLanes);
    MURMUR_UNROLL
    for (int r = 0; r < R; ++r) {
      const V16 value = fill(x[static_cast<std::size_t>(r) * m.x_stride]);
      MURMUR_UNROLL
      for (int c = 0; c < C; ++c) sum[r][c] = fma(value, weight[c], sum[r][c]);
    }
  }
  MURMUR_UNROLL
  for (int r = 0; r < R; ++r) {
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) {
      const std::size_t at =
          (row + static_cast<std::size_t>(r)) * m.columns + column + static_cast<std::size_t>(c) * kLanes;
      store(finish(sum[r][c], at), m.out + at);
    }
  }
}

template <int C, class Finish>
HWY_INLINE void product_panel(const Product& m, std::size_t rows, std::size_t column, const Finish& finish) {
  std::size_t row = 0;
  if constexpr (kMaxRows >= 6) {
    for (; row + 6 <= rows; row += 6) product_block<6, C>(m, row, column, finish);
    for (; row + 2 <= rows; row += 2) product_block<2, C>(m, row, column, finish);
  }
  for (; row < rows; ++row) product_block<1, C>(m, row, column, finish);
}

template <class Finish>
HWY_NOINLINE void product(const Product& m, std::size_t rows, const Finish& finish) {
  std::size_t column = 0;
  if constexpr (kMaxColumns >= 4) {
    for (; column + 64 <= m.columns; column += 64) product_panel<4>(m, rows, column, finish);
    for (; column + 32 <= m.columns; column += 32) product_panel<2>(m, rows, column, finish);
  }
  for (; column < m.columns; column += kLanes) product_panel<1>(m, rows, column, finish);
}

void dense_forward(const DenseForward& a) noexcept {
  const Product m{a.inputs, a.x, a.x_stride, a.weights, a.bias, a.out, a.columns};
  switch (a.f) {
    case Nonlinearity::kTanh:
      return product(m, a.rows, ApplyTanh{});
    case Nonlinearity::kRelu:
      return product(m, a.rows, ApplyRelu{});
    case Nonlinearity::kSilu:
      if (a.slope == nullptr) return product(m, a.rows, ApplySilu{});
      return product(m, a.rows, ApplySiluAndKeepSlope{a.slope});
  }
}

void dense_backward(const DenseBackward& a) noexcept {
  const Product m{a.inputs, a.d, a.d_stride, a.weights, nullptr, a.h, a.columns};
  switch (a.f) {
    case Nonlinearity::kTanh:
      return product(m, a.rows, TanhSlope{a.h});
    case Nonlinearity::kRelu:
      return product(m, a.rows, ReluSlope{a.h});
    case Nonlinearity::kSilu:
      return product(m, a.rows, KeptSlope{a.h});
  }
}

/// R inputs by C vectors of `gradient`, summed over all rows.
template <int R, int C>
HWY_INLINE void outer_block(const WeightGradient& a, std::size_t input, std::size_t column) {
  V16 sum[R][C];
  float* const gradient = a.gradient + input * a.columns + column;
  MURMUR_UNROLL
  for (int r = 0; r < R; ++r) {
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) {
      const std::size_t at = static_cast<std::size_t>(r) * a.columns + static_cast<std::size_t>(c) * kLanes;
      sum[r][c] = a.accumulate ? load(gradient + at) : fill(0.0F);
    }
  }
  const float* x = a.x + input;
  const float* d = a.d + column;
  for (std::size_t row = 0; row < a.rows; ++row, x += a.x_stride, d += a.columns) {
    V16 delta[C];
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) delta[c] = load(d + static_cast<std::size_t>(c) * kLanes);
    MURMUR_UNROLL
    for (int r = 0; r < R; ++r) {
      const V16 value = fill(x[r]);
      MURMUR_UNROLL
      for (int c = 0; c < C; ++c) sum[r][c] = fma(value, delta[c], sum[r][c]);
    }
  }
  MURMUR_UNROLL
  for (int r = 0; r < R; ++r) {
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) {
      store(sum[r][c],
            gradient + static_cast<std::size_t>(r) * a.columns + static_cast<std::size_t>(c) * kLanes);
    }
  }
}

template <int C>
HWY_INLINE void outer_panel(const WeightGradient& a, std::size_t column) {
  std::size_t input = 0;
  if constexpr (kMaxRows >= 6) {
    for (; input + 6 <= a.inputs; input += 6) outer_block<6, C>(a, input, column);
    for (; input + 4 <= a.inputs; input += 4) outer_block<4, C>(a, input, column);
    for (; input + 2 <= a.inputs; input += 2) outer_block<2, C>(a, input, column);
  }
  for (; input < a.inputs; ++input) outer_block<1, C>(a, input, column);
}

void weight_gradient(const WeightGradient& a) noexcept {
  std::size_t column = 0;
  if constexpr (kMaxColumns >= 4) {
    for (; column + 64 <= a.columns; column += 64) outer_panel<4>(a, column);
    for (; column + 32 <= a.columns; column += 32) outer_panel<2>(a, column);
  }
  for (; column < a.columns; column += kLanes) outer_panel<1>(a, column);
}

/// C vectors of sums. An addition waits for the one before it, so one vector alone leaves the adders idle.
template <int C>
HWY_INLINE void column_block(const ColumnSums& a, std::size_t column) {
  V16 sum[C];
  float* const sums = a.sums + column;
  MURMUR_UNROLL
  for (int c = 0; c < C; ++c)
    sum[c] = a.accumulate ? load(sums + static_cast<std::size_t>(c) * kLanes) : fill(0.0F);
  const float* d = a.d + column;
  for (std::size_t row = 0; row < a.rows; ++row, d += a.columns) {
    MURMUR_UNROLL
    for (int c = 0; c < C; ++c) sum[c] = sum[c] + load(d + static_cast<std::size_t>(c) * kLanes);
  }
  MURMUR_UNROLL
  for (int c = 0; c < C; ++c) store(sum[c], sums + static_cast<std::size_t>(c) * kLanes);
}

void column_sums(const ColumnSums& a) noexcept {
  std::size_t column = 0;
  for (; column + 64 <= a.columns; column += 64) column_block<4>(a, column);
  for (; column < a.columns; column += kLanes) column_block<1>(a, column);
}

/// One output of R rows.
template <int R>
HWY_INLINE void head_block(const HeadForward& a, std::size_t row, std::size_t output) {
  V16 sum[R];
  MURMUR_UNROLL
  for (int r = 0; r < R; ++r) sum[r] = fill(0.0F);
  const float* const x = a.x + row * a.columns;
  const float* const w = a.weights + output * a.columns;
  for (std::size_t column = 0; column < a.columns; column += kLanes) {
    const V16 weight = load(w + column);
    MURMUR_UNROLL
    for (int r = 0; r < R; ++r)
      sum[r] = fma(load(x + static_cast<std::size_t>(r) * a.columns + column), weight, sum[r]);
  }
  MURMUR_UNROLL
  for (int r = 0; r < R; ++r) {
    a.out[(row + static_cast<std::size_t>(r)) * a.outputs + output] = a.bias[output] + sum_lanes(sum[r]);
  }
}

void head_forward(const HeadForward& a) noexcept {
  for (std::size_t output = 0; output < a.outputs; ++output) {
    std::size_t row = 0;
    if constexpr (kMaxRows >= 6) {
      for (; row + 4 <= a.rows; row += 4) head_block<4>(a, row, output);
    }
    for (; row < a.rows; ++row) head_block<1>(a, row, output);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace murmur::kernels
HWY_AFTER_NAMESPACE();

#endif
