/// tanh, exp, log, sine and cosine of single floats: the formulas of kernels/math_inl.hpp, for CUDA kernels.
///
/// Not CUDA's own functions: these give the same bytes on a GPU and in its emulation. Every operation is
/// correctly rounded on both (sources are compiled without contraction; fma is written where it is meant).
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "cuda/block.hpp"

namespace murmur::cuda {

/// Written with `<` so that NaN passes through to be noticed.
MURMUR_HOST_DEVICE constexpr float clamp(float x, float low, float high) noexcept {
  const float below = high < x ? high : x;
  return below < low ? low : below;
}
MURMUR_HOST_DEVICE constexpr float absolute(float x) noexcept {
  return x < 0.0F ? -x : x;
}

/// tanh within 5 ulp; NaN stays NaN. Rational minimax approximation of Eigen (generic_fast_tanh_float).
MURMUR_HOST_DEVICE inline float tanh(float x) noexcept {
  const float t = clamp(x, -7.99881172180175781F, 7.99881172180175781F);
  const float y = t * t;
  float p = fma(y, -2.76076847742355e-16F, 2.00018790482477e-13F);
  p = fma(y, p, -8.60467152213735e-11F);
  p = fma(y, p, 5.12229709037114e-08F);
  p = fma(y, p, 1.48572235717979e-05F);
  p = fma(y, p, 6.37261928875436e-04F);
  p = fma(y, p, 4.89352518554385e-03F);
  float q = fma(y, 1.19825839466702e-06F, 1.18534705686654e-04F);
  q = fma(y, q, 2.26843463243900e-03F);
  q = fma(y, q, 4.89352518554385e-03F);
  return t * p / q;
}

/// Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
inline constexpr float kRounder = 12582912.0F;

struct ExpResult {
  float value;   // exp(x)
  float excess;  // exp(x) - 1 - x without cancellation, where |x| < 0.34; elsewhere meaningless
};

/// exp within 2 ulp; 0 below -87.3, infinity above 88.3; NaN stays NaN. Polynomial of Cephes (expf.c).
MURMUR_HOST_DEVICE inline ExpResult exp_with_excess(float x) noexcept {
  constexpr float kLow = -87.33F, kHigh = 88.37F;
  const float t = clamp(x, kLow, kHigh);
  const float shifted = fma(t, 1.44269504088896341F, kRounder);
  const float n = shifted - kRounder;
  float r = fma(-n, 0.693359375F, t);
  r = fma(n, 2.12194440e-4F, r);
  float q = fma(r, 1.9875691500e-4F, 1.3981999507e-3F);
  q = fma(r, q, 8.3334519073e-3F);
  q = fma(r, q, 4.1665795894e-2F);
  q = fma(r, q, 1.6666665459e-1F);
  q = fma(r, q, 5.0000001201e-1F);
  const float excess = q * (r * r);
  const float power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) << 23U) + 0x3F800000U);
  const float value = (1.0F + (r + excess)) * power;
  if (x < kLow) return {0.0F, excess};
  if (kHigh < x) return {std::numeric_limits<float>::infinity(), excess};
  return {value, excess};
}

MURMUR_HOST_DEVICE inline float exp(float x) noexcept {
  return exp_with_excess(x).value;
}

struct Silu {
  float value, slope;
};

/// x * sigmoid(x), and its derivative, which the value alone does not tell. NaN stays NaN.
MURMUR_HOST_DEVICE inline Silu silu(float x) noexcept {
  const float sigmoid = 1.0F / (1.0F + exp(-x));  // 0 where exp has overflowed
  const float value = x * sigmoid;
  return {value, fma(value, 1.0F - sigmoid, sigmoid)};
}

/// Natural logarithm within 2 ulp of normal positive numbers; infinity and NaN stay. Polynomial of Cephes
/// (logf.c), with the mantissa taken from [sqrt(1/2), sqrt(2)).
MURMUR_HOST_DEVICE inline float log(float x) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::int32_t exponent = static_cast<std::int32_t>(bits - 0x3F3504F3U) >> 23;
  const auto mantissa = std::bit_cast<float>(bits - (static_cast<std::uint32_t>(exponent) << 23U));
  const auto e = static_cast<float>(exponent);
  const float f = mantissa - 1.0F;
  const float z = f * f;
  float y = fma(f, 7.0376836292e-2F, -1.1514610310e-1F);
  y = fma(f, y, 1.1676998740e-1F);
  y = fma(f, y, -1.2420140846e-1F);
  y = fma(f, y, 1.4249322787e-1F);
  y = fma(f, y, -1.6668057665e-1F);
  y = fma(f, y, 2.0000714765e-1F);
  y = fma(f, y, -2.4999993993e-1F);
  y = fma(f, y, 3.3333331174e-1F);
  y = y * f * z;
  y = fma(e, -2.12194440e-4F, y);
  y = fma(-0.5F, z, y);
  const float result = fma(e, 0.693359375F, f + y);
  return x < std::numeric_limits<float>::infinity() ? result : x;
}

/// Cosine of `turns` full turns, 0 <= turns <= 1. Polynomials of Cephes, as in base/sincos.hpp.
MURMUR_HOST_DEVICE inline float cosine_of_turns(float turns) noexcept {
  const float t = turns * 4.0F;
  const float quadrant = (t + kRounder) - kRounder;
  const float r = (t - quadrant) * 1.57079632679489662F;
  const float r2 = r * r;
  float s = fma(r2, -1.9515295891e-4F, 8.3321608736e-3F);
  s = fma(r2, s, -1.6666654611e-1F);
  s = fma(s * r2, r, r);
  float c = fma(r2, 2.443315711809948e-5F, -1.388731625493765e-3F);
  c = fma(r2, c, 4.166664568298827e-2F);
  c = fma(c * r2, r2, fma(-0.5F, r2, 1.0F));
  if (quadrant == 1.0F) return -s;
  if (quadrant == 2.0F) return -c;
  return quadrant == 3.0F ? s : c;
}

}  // namespace murmur::cuda
