// tanh, exp, log, sine and cosine on V16, without libm: the same bytes on every target.
#if defined(MURMUR_KERNELS_MATH_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MURMUR_KERNELS_MATH_INL
#undef MURMUR_KERNELS_MATH_INL
#else
#define MURMUR_KERNELS_MATH_INL
#endif

#include <limits>

#include "kernels/vec16_inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace murmur::kernels {
namespace HWY_NAMESPACE {

/// Adding 1.5 * 2^23 rounds to the nearest integer, ties to even, and leaves it in the low bits.
constexpr float kRounder = 12582912.0F;

/// 2^n, where `shifted` is kRounder + n with -126 <= n <= 127.
HWY_INLINE V16 power_of_two(const V16& shifted) {
  V16 out;
  MURMUR_UNROLL
  for (std::size_t p = 0; p < kParts; ++p) {
    const IntPart exponent = hn::ShiftLeft<23>(hn::BitCast(IntTag(), shifted.part[p]));
    out.part[p] = hn::BitCast(Tag(), hn::Add(exponent, hn::Set(IntTag(), 0x3F800000)));
  }
  return out;
}

/// tanh within 5 ulp, in [-1, 1]; NaN stays NaN. Rational minimax approximation of Eigen
/// (MathFunctionsImpl.h, generic_fast_tanh_float): beyond the clamp tanh rounds to 1.
HWY_INLINE V16 tanh(const V16& x) {
  const V16 t = clamp(x, fill(-7.99881172180175781F), fill(7.99881172180175781F));
  const V16 y = t * t;
  V16 p = fma(y, fill(-2.76076847742355e-16F), fill(2.00018790482477e-13F));
  p = fma(y, p, fill(-8.60467152213735e-11F));
  p = fma(y, p, fill(5.12229709037114e-08F));
  p = fma(y, p, fill(1.48572235717979e-05F));
  p = fma(y, p, fill(6.37261928875436e-04F));
  p = fma(y, p, fill(4.89352518554385e-03F));
  V16 q = fma(y, fill(1.19825839466702e-06F), fill(1.18534705686654e-04F));
  q = fma(y, q, fill(2.26843463243900e-03F));
  q = fma(y, q, fill(4.89352518554385e-03F));
  return t * p / q;
}

struct ExpResult {
  V16 value;   // exp(x)
  V16 excess;  // exp(x) - 1 - x without cancellation, where |x| < 0.34; elsewhere meaningless
};

/// exp within 2 ulp; 0 below -87.3, infinity above 88.3; NaN stays NaN. Polynomial of Cephes (expf.c).
HWY_INLINE ExpResult exp_with_excess(const V16& x) {
  const V16 low = fill(-87.33F);
  const V16 high = fill(88.37F);
  const V16 t = clamp(x, low, high);
  const V16 shifted = fma(t, fill(1.44269504088896341F), fill(kRounder));
  const V16 n = shifted - fill(kRounder);
  V16 r = neg_fma(n, fill(0.693359375F), t);
  r = fma(n, fill(2.12194440e-4F), r);
  V16 q = fma(r, fill(1.9875691500e-4F), fill(1.3981999507e-3F));
  q = fma(r, q, fill(8.3334519073e-3F));
  q = fma(r, q, fill(4.1665795894e-2F));
  q = fma(r, q, fill(1.6666665459e-1F));
  q = fma(r, q, fill(5.0000001201e-1F));
  const V16 excess = q * (r * r);
  const V16 value = (fill(1.0F) + (r + excess)) * power_of_two(shifted);
  const V16 infinity = fill(std::numeric_limits<float>::infinity());
  return {choose(x < low, fill(0.0F), choose(high < x, infinity, value)), excess};
}

HWY_INLINE V16 exp(const V16& x) {
  return exp_with_excess(x).value;
}

struct Silu {
  V16 value, slope;
};

/// x * sigmoid(x) within 4 ulp, and its derivative within 1e-6 (Hendrycks & Gimpel 2016, "Gaussian Error
/// Linear Units"; Ramachandran et al. 2017, "Searching for Activation Functions"). NaN stays NaN.
HWY_INLINE Silu silu(const V16& x) {
  const V16 one = fill(1.0F);
  const V16 sigmoid = one / (one + exp(fill(0.0F) - x));  // 0 where exp has overflowed
  const V16 value = x * sigmoid;
  return {value, fma(value, one - sigmoid, sigmoid)};
}

/// Natural logarithm within 2 ulp of normal positive numbers; infinity and NaN stay. Polynomial of Cephes
/// (logf.c), with the mantissa taken from [sqrt(1/2), sqrt(2)).
HWY_INLINE V16 log(const V16& x) {
  const IntTag ints;
  V16 mantissa, e;
  MURMUR_UNROLL
  for (std::size_t p = 0; p < kParts; ++p) {
    const IntPart bits = hn::BitCast(ints, x.part[p]);
    const IntPart exponent = hn::ShiftRight<23>(hn::Sub(bits, hn::Set(ints, 0x3F3504F3)));
    mantissa.part[p] = hn::BitCast(Tag(), hn::Sub(bits, hn::ShiftLeft<23>(exponent)));
    e.part[p] = hn::ConvertTo(Tag(), exponent);
  }
  const V16 f = mantissa - fill(1.0F);
  const V16 z = f * f;
  V16 y = fma(f, fill(7.0376836292e-2F), fill(-1.1514610310e-1F));
  y = fma(f, y, fill(1.1676998740e-1F));
  y = fma(f, y, fill(-1.2420140846e-1F));
  y = fma(f, y, fill(1.4249322787e-1F));
  y = fma(f, y, fill(-1.6668057665e-1F));
  y = fma(f, y, fill(2.0000714765e-1F));
  y = fma(f, y, fill(-2.4999993993e-1F));
  y = fma(f, y, fill(3.3333331174e-1F));
  y = y * f * z;
  y = fma(e, fill(-2.12194440e-4F), y);
  y = neg_fma(fill(0.5F), z, y);
  const V16 result = fma(e, fill(0.693359375F), f + y);
  return choose(x < fill(std::numeric_limits<float>::infinity()), result, x);
}

struct SinCos16 {
  V16 sin, cos;
};

/// Sine and cosine of `turns` full turns, 0 <= turns <= 1. Polynomials of Cephes, as in base/sincos.hpp.
HWY_INLINE SinCos16 sincos_of_turns(const V16& turns) {
  const V16 t = turns * fill(4.0F);
  const V16 quadrant = (t + fill(kRounder)) - fill(kRounder);
  const V16 r = (t - quadrant) * fill(1.57079632679489662F);
  const V16 r2 = r * r;
  V16 s = fma(r2, fill(-1.9515295891e-4F), fill(8.3321608736e-3F));
  s = fma(r2, s, fill(-1.6666654611e-1F));
  s = fma(s * r2, r, r);
  V16 c = fma(r2, fill(2.443315711809948e-5F), fill(-1.388731625493765e-3F));
  c = fma(r2, c, fill(4.166664568298827e-2F));
  c = fma(c * r2, r2, neg_fma(fill(0.5F), r2, fill(1.0F)));
  const V16 one = fill(1.0F), two = fill(2.0F), three = fill(3.0F), zero = fill(0.0F);
  // Quadrants 1 and 3 swap sine and cosine; the sine is negative in 2 and 3, the cosine in 1 and 2.
  const M16 first = quadrant == one, third = quadrant == three;
  const V16 sin_size = choose(first, c, choose(third, c, s));
  const V16 cos_size = choose(first, s, choose(third, s, c));
  const M16 second = quadrant == two;
  return {choose(second, zero - sin_size, choose(third, zero - sin_size, sin_size)),
          choose(first, zero - cos_size, choose(second, zero - cos_size, cos_size))};
}

}  // namespace HWY_NAMESPACE
}  // namespace murmur::kernels
HWY_AFTER_NAMESPACE();

#endif
