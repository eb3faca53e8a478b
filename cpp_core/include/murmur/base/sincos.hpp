#pragma once

#include <bit>
#include <cstdint>

namespace murmur {

struct SinCos {
  float sin;
  float cos;
};

/// Sine and cosine of `x` in radians, within 2 ulp for |x| <= 8192; less exact beyond, NaN for NaN.
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

}  // namespace murmur
