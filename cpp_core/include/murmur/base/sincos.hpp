#pragma once

#include <bit>
#include <cstdint>

namespace murmur {

struct SinCos {
  float sin;
  float cos;
};

/// Sine and cosine of `x` in radians, off by less than 1e-7 for |x| <= 8192 (so that at their zeros but 0 few
/// digits are right); less exact beyond, NaN for NaN.
///
/// Own code instead of libm: only + - * and integer operations, so the result is the same on every CPU and C
/// library, and branch-free, so a loop over it vectorises. Polynomials on [-pi/4, pi/4] and the three-part
/// reduction by pi/2 are those of the Cephes library (Moshier, sinf.c and cosf.c).
[[nodiscard]] constexpr SinCos sincos(float x) noexcept {
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits of the mantissa.
  constexpr float kRounder = 12582912.0F;
  const float shifted = x * 0.636619772367581343F + kRounder;
  const auto quadrant = std::bit_cast<std::uint32_t>(shifted);
  const float n = shifted - kRounder;
  const float r = ((x - n * 1.5703125F) - n * 4.837512969970703125e-4F) - n * 7.54978995489188216e-8F;
  const float r2 = r * r;
  const float sin_r = ((-1.9515295891e-4F * r2 + 8.3321608736e-3F) * r2 - 1.6666654611e-1F) * r2 * r + r;
  const float cos_r =
      ((2.443315711809948e-5F * r2 - 1.388731625493765e-3F) * r2 + 4.166664568298827e-2F) * r2 * r2 -
      0.5F * r2 + 1.0F;
  // Odd quadrants swap sine and cosine; the sign bits follow the quadrant.
  const std::uint32_t swap = 0U - (quadrant & 1U);
  const auto s = std::bit_cast<std::uint32_t>(sin_r);
  const auto c = std::bit_cast<std::uint32_t>(cos_r);
  const std::uint32_t sin_bits = ((s & ~swap) | (c & swap)) ^ ((quadrant & 2U) << 30U);
  const std::uint32_t cos_bits = ((c & ~swap) | (s & swap)) ^ (((quadrant + 1U) & 2U) << 30U);
  return {std::bit_cast<float>(sin_bits), std::bit_cast<float>(cos_bits)};
}

struct SinCos64 {
  double sin;
  double cos;
};

/// The same in double precision, off by less than 2e-16 for |x| <= 1e6: for dynamics that amplify rounding
/// errors.
/// Source: Cephes, sin.c.
[[nodiscard]] constexpr SinCos64 sincos(double x) noexcept {
  constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52
  const double shifted = x * 0.63661977236758134308 + kRounder;
  const auto quadrant = std::bit_cast<std::uint64_t>(shifted);
  const double n = shifted - kRounder;
  const double r =
      ((x - n * 1.57079625129699707031) - n * 7.54978941586159635336e-8) - n * 5.39030285815811905290e-15;
  const double r2 = r * r;
  const double sin_r =
      (((((1.58962301576546568060e-10 * r2 - 2.50507477628578072866e-8) * r2 + 2.75573136213857245213e-6) *
             r2 -
         1.98412698295895385996e-4) *
            r2 +
        8.33333333332211858878e-3) *
           r2 -
       1.66666666666666307295e-1) *
          r2 * r +
      r;
  const double cos_r =
      (((((-1.13585365213876817300e-11 * r2 + 2.08757008419747316778e-9) * r2 - 2.75573141792967388112e-7) *
             r2 +
         2.48015872888517045348e-5) *
            r2 -
        1.38888888888730564116e-3) *
           r2 +
       4.16666666666665929218e-2) *
          r2 * r2 -
      0.5 * r2 + 1.0;
  const std::uint64_t swap = 0U - (quadrant & 1U);
  const auto s = std::bit_cast<std::uint64_t>(sin_r);
  const auto c = std::bit_cast<std::uint64_t>(cos_r);
  const std::uint64_t sin_bits = ((s & ~swap) | (c & swap)) ^ ((quadrant & 2U) << 62U);
  const std::uint64_t cos_bits = ((c & ~swap) | (s & swap)) ^ (((quadrant + 1U) & 2U) << 62U);
  return {std::bit_cast<double>(sin_bits), std::bit_cast<double>(cos_bits)};
}

}  // namespace murmur
