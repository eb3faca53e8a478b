#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "codec/values.hpp"
#include "murmur/base/check.hpp"

namespace murmur::codec {

namespace {

// Exponents that keep every scaled value either normal or far below the smallest half: no subnormal floats.
constexpr int kMinExponent = -80;
constexpr int kMaxExponent = 113;

/// The exponent e for which the largest value, times 2^-e, lies in [2^14, 2^15).
int exponent_for(std::uint32_t largest_bits) noexcept {
  if (largest_bits >= kInfinityBits) return 0;
  return std::clamp(static_cast<int>(largest_bits >> 23) - 127 - 14, kMinExponent, kMaxExponent);
}

float power_of_two(int exponent) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(127 + exponent) << 23);
}

}  // namespace

Verdict check_values(std::span<const float> values, InstructionSet set) noexcept {
  return judge(run_on<LargestMagnitude>(set, values.data(), values.size()));
}

std::size_t float16_bytes(std::size_t num_values) noexcept {
  return 4 + 2 * num_values;
}

void encode_float16(std::span<const float> values, std::span<std::byte> out, InstructionSet set) noexcept {
  MURMUR_ASSERT(out.size() == float16_bytes(values.size()));
  const std::int32_t exponent = exponent_for(run_on<LargestMagnitude>(set, values.data(), values.size()));
  std::memcpy(out.data(), &exponent, 4);
  run_on<ToHalf>(set, values.data(), values.size(), power_of_two(-exponent),
                 reinterpret_cast<std::uint16_t*>(out.data() + 4));
}

Verdict decode_float16(std::span<const std::byte> data, std::span<float> values,
                       InstructionSet set) noexcept {
  if (data.size() != float16_bytes(values.size())) return Verdict::kSize;
  std::int32_t exponent = 0;
  std::memcpy(&exponent, data.data(), 4);
  if (exponent < kMinExponent || exponent > kMaxExponent) return Verdict::kMalformed;
  return judge(run_on<FromHalf>(set, data.data() + 4, values.size(), power_of_two(exponent), values.data()));
}

}  // namespace murmur::codec
