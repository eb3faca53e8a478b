#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>

#include "codec/int8_view.hpp"
#include "codec/values.hpp"
#include "murmur/base/check.hpp"

namespace murmur::codec {

namespace {

constexpr float kSmallestBlock = 0x1p-64F;
constexpr float kSmallestScale = 0x1p-80F;  // below any that an encoder writes, above every subnormal

/// What no finite block has: NaN or infinity, so that the decoder refuses what the encoder was given.
float scale_of_non_finite(std::uint32_t largest_bits) noexcept {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return largest_bits > kInfinityBits ? std::bit_cast<float>(0x7fc00000U) : kInfinity;
}

}  // namespace

std::size_t int8_bytes(std::size_t num_values) noexcept {
  return 4 * ((num_values + kInt8Block - 1) / kInt8Block) + num_values;
}

void encode_int8(std::span<const float> values, std::span<std::byte> out, InstructionSet set) noexcept {
  MURMUR_ASSERT(out.size() == int8_bytes(values.size()));
  std::byte* scales = out.data();
  auto* quantised = reinterpret_cast<std::int8_t*>(out.data() + (out.size() - values.size()));
  for (std::size_t at = 0; at < values.size(); at += kInt8Block) {
    const std::size_t n = std::min(kInt8Block, values.size() - at);
    const std::uint32_t largest_bits = run_on<LargestMagnitude>(set, values.data() + at, n);
    const auto largest = std::bit_cast<float>(largest_bits);
    float scale = 0.0F;
    if (largest_bits >= kInfinityBits) {
      scale = scale_of_non_finite(largest_bits);
      std::memset(quantised + at, 0, n);
    } else if (largest < kSmallestBlock) {
      std::memset(quantised + at, 0, n);
    } else {
      scale = largest / 127.0F;
      run_on<Quantise>(set, values.data() + at, n, 127.0F / largest, quantised + at);
    }
    std::memcpy(scales, &scale, 4);
    scales += 4;
  }
}

Int8View::Int8View(std::span<const std::byte> data, std::size_t num_values) noexcept
    : scales_(data.first(data.size() - num_values)), quantised_(data.last(num_values)) {
  MURMUR_ASSERT(data.size() == int8_bytes(num_values));
}

Verdict Int8View::decode_block(std::size_t at, std::span<float> values, InstructionSet set) const noexcept {
  float scale = 0.0F;
  std::memcpy(&scale, scales_.data() + 4 * (at / kInt8Block), 4);
  if (magnitude_bits(scale) >= kInfinityBits) return Verdict::kNotFinite;
  const bool is_zero = std::bit_cast<std::uint32_t>(scale) == 0;
  if (!is_zero && !(scale >= kSmallestScale)) return Verdict::kMalformed;
  if (scale > kMaxMagnitude) return Verdict::kMagnitude;  // before it makes infinities of honest integers
  const auto* quantised = reinterpret_cast<const std::int8_t*>(quantised_.data() + at);
  return judge(run_on<Dequantise>(set, quantised, values.size(), scale, values.data()));
}

Verdict decode_int8(std::span<const std::byte> data, std::span<float> values, InstructionSet set) noexcept {
  if (data.size() != int8_bytes(values.size())) return Verdict::kSize;
  const Int8View view(data, values.size());
  for (std::size_t at = 0; at < values.size(); at += kInt8Block) {
    const std::size_t n = std::min(kInt8Block, values.size() - at);
    if (const Verdict verdict = view.decode_block(at, values.subspan(at, n), set);
        verdict != Verdict::kValid) {
      return verdict;
    }
  }
  return Verdict::kValid;
}

}  // namespace murmur::codec
