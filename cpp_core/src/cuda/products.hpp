/// The three matrix products of a dense layer on tiles in shared memory: forward, towards the input, and
/// towards the weights.
///
/// Every sum runs in one fixed order of fused multiply-adds, so a result depends neither on the shape of the
/// tile nor on how work is shared out. Widths are padded to four; what lies in the padding is zero.
#pragma once

#include "cuda/block.hpp"
#include "cuda/math.hpp"
#include "cuda/network_plan.hpp"

namespace murmur::cuda {

/// tanh or ReLU; SiLU is not told by its value alone (tile_network.hpp).
MURMUR_HOST_DEVICE inline float activate(Activation f, float x) noexcept {
  if (f == Activation::kTanh) return tanh(x);
  return x < 0.0F ? 0.0F : x;  // NaN passes
}
/// f'(x) of these, written in terms of h = f(x).
MURMUR_HOST_DEVICE inline float slope(Activation f, float h) noexcept {
  if (f == Activation::kTanh) return fma(-h, h, 1.0F);
  return h > 0.0F ? 1.0F : 0.0F;
}

/// One thread's part of out = f(x W^T + b): R rows by C outputs at a time.
template <int R, int C, class Finish>
MURMUR_HOST_DEVICE inline void forward_tiles(int thread, const LayerPlan& layer, const float* weights,
                                             const float* bias, int rows, const float* x, float* out,
                                             int out_stride, const Finish& finish) {
  const int tile_rows = rows / R, tile_columns = round_up(layer.outputs, 4) / C;  // padding is written too
  for (int tile = thread; tile < tile_rows * tile_columns; tile += kThreads) {
    // Rows and outputs of a tile lie apart: neighbouring threads then read neighbouring rows, in different
    // banks.
    const int row = tile / tile_columns, output = tile % tile_columns;
    float sum[R][C];
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) sum[r][c] = bias[output + c * tile_columns];
    // Where a thread has one sum, nothing but other turns hides the time that a load takes.
    MURMUR_UNROLL(R * C == 1 ? 8 : 1)
    for (int k = 0; k < layer.inputs; k += 4) {
      Four a[R], b[C];
      for (int r = 0; r < R; ++r) a[r] = load4(x + (row + r * tile_rows) * layer.stride + k);
      for (int c = 0; c < C; ++c) b[c] = load4(weights + (output + c * tile_columns) * layer.stride + k);
      for (int q = 0; q < 4; ++q)
        for (int r = 0; r < R; ++r)
          for (int c = 0; c < C; ++c) sum[r][c] = fma(a[r].at[q], b[c].at[q], sum[r][c]);
    }
    for (int r = 0; r < R; ++r)
      for (int c = 0; c < C; ++c) {
        const int at = (row + r * tile_rows) * out_stride + output + c * tile_columns;
        out[at] = finish(sum[r][c], at);
      }
  }
}

/// out [rows, outputs] = finish(x W^T + b, where in `out`); x, W and b in shared memory.
template <class Finish>
MURMUR_HOST_DEVICE inline void forward_product(int thread, const LayerPlan& layer, const float* weights,
                                               const float* bias, int rows, const float* x, float* out,
                                               int out_stride, const Finish& finish) {
  // The largest register block that still gives most threads one.
  const int size = rows * round_up(layer.outputs, 4);
  if (size >= 16 * kThreads / 2) {
    forward_tiles<4, 4>(thread, layer, weights, bias, rows, x, out, out_stride, finish);
  } else if (size >= 4 * kThreads / 2) {
    forward_tiles<1, 4>(thread, layer, weights, bias, rows, x, out, out_stride, finish);
  } else {
    forward_tiles<1, 1>(thread, layer, weights, bias, rows, x, out, out_stride, finish);
  }
}

/// h [rows, inputs] = (d W) * slope(where in `h`), in place; d [rows, outputs].
template <class Slope>
MURMUR_HOST_DEVICE inline void input_product(int thread, const LayerPlan& layer, const float* weights,
                                             int rows, const float* d, int d_stride, float* h,
                                             const Slope& slope) {
  constexpr int R = 4;
  const int tile_rows = rows / R, tile_columns = round_up(layer.inputs, 4) / 4;
  for (int tile = thread; tile < tile_rows * tile_columns; tile += kThreads) {
    const int row = tile / tile_columns, column = tile % tile_columns * 4;
    float sum[R][4] = {};
    for (int o = 0; o < layer.outputs; o += 4) {
      Four a[R];
      for (int r = 0; r < R; ++r) a[r] = load4(d + (row + r * tile_rows) * d_stride + o);
      for (int q = 0; q < 4; ++q) {
        const Four b = load4(weights + (o + q) * layer.stride + column);
        for (int r = 0; r < R; ++r)
          for (int c = 0; c < 4; ++c) sum[r][c] = fma(a[r].at[q], b.at[c], sum[r][c]);
      }
    }
    for (int r = 0; r < R; ++r) {
      const int at = (row + r * tile_rows) * layer.stride + column;
      for (int c = 0; c < 4; ++c) h[at + c] = sum[r][c] * slope(at + c);
    }
  }
}

/// gradient [outputs, inputs] (+)= d^T h, and the bias's [outputs] (+)= the columns of d, summed in row
/// order. `gradient` and `bias_gradient` lie in global memory.
MURMUR_HOST_DEVICE inline void weight_product(int thread, const LayerPlan& layer, int rows, const float* d,
                                              int d_stride, const float* h, bool accumulate, float* gradient,
                                              float* bias_gradient) {
  const int tile_rows = round_up(layer.outputs, 4) / 4, tile_columns = round_up(layer.inputs, 4) / 4;
  if (tile_rows * tile_columns >= kThreads / 4) {
    for (int tile = thread; tile < tile_rows * tile_columns; tile += kThreads) {
      const int output = tile / tile_columns * 4, input = tile % tile_columns * 4;
      float sum[4][4];
      for (int o = 0; o < 4; ++o)
        for (int i = 0; i < 4; ++i) {
          const bool kept = accumulate && output + o < layer.outputs && input + i < layer.inputs;
          sum[o][i] = kept ? gradient[(output + o) * layer.inputs + input + i] : 0.0F;
        }
      for (int row = 0; row < rows; ++row) {
        const Four a = load4(d + row * d_stride + output);
        const Four b = load4(h + row * layer.stride + input);
        for (int o = 0; o < 4; ++o)
          for (int i = 0; i < 4; ++i) sum[o][i] = fma(a.at[o], b.at[i], sum[o][i]);
      }
      for (int o = 0; o < 4; ++o)
        for (int i = 0; i < 4; ++i)
          if (output + o < layer.outputs && input + i < layer.inputs)
            gradient[(output + o) * layer.inputs + input + i] = sum[o][i];
    }
  } else {
    for (int at = thread; at < layer.outputs * layer.inputs; at += kThreads) {
      const int output = at / layer.inputs, input = at % layer.inputs;
      float sum = accumulate ? gradient[at] : 0.0F;
      for (int row = 0; row < rows; ++row)
        sum = fma(d[row * d_stride + output], h[row * layer.stride + input], sum);
      gradient[at] = sum;
    }
  }
  // From the other end, where threads are more often free.
  for (int output = kThreads - 1 - thread; output < layer.outputs; output += kThreads) {
    float sum = accumulate ? bias_gradient[output] : 0.0F;
    for (int row = 0; row < rows; ++row) sum += d[row * d_stride + output];
    bias_gradient[output] = sum;
  }
}

}  // namespace murmur::cuda
