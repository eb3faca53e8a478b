#include <algorithm>
#include <cstring>
#include <span>

#include "codec/block_scale.hpp"
#include "codec/values.hpp"
#include "murmur/base/check.hpp"

namespace murmur::codec {

namespace {

static_assert(kBlock % 2 == 0, "no block but the last leaves half a byte unused");

constexpr std::size_t halved(std::size_t num_values) noexcept {
  return num_values - num_values / 2;
}

}  // namespace

std::size_t int4_bytes(std::size_t num_values) noexcept {
  return 4 * num_blocks(num_values) + halved(num_values);
}

void encode_int4(std::span<const float> values, std::span<std::byte> out, InstructionSet set) noexcept {
  MURMUR_ASSERT(out.size() == int4_bytes(values.size()));
  std::byte* scales = out.data();
  auto* quantised = reinterpret_cast<std::uint8_t*>(out.data() + 4 * num_blocks(values.size()));
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - at);
    const BlockScale block = block_scale(run_on<LargestMagnitude>(set, values.data() + at, n), 7.0F);
    if (block.inverse == 0.0F) {
      std::memset(quantised, 0, halved(n));
    } else {
      run_on<QuantiseHalves>(set, values.data() + at, n, block.inverse, quantised);
    }
    std::memcpy(scales, &block.scale, 4);
    scales += 4;
    quantised += halved(n);
  }
}

Verdict decode_int4(std::span<const std::byte> data, std::span<float> values, InstructionSet set) noexcept {
  if (data.size() != int4_bytes(values.size())) return Verdict::kSize;
  if (values.size() % 2 != 0 && std::to_integer<unsigned>(data.back() >> 4) != 0) return Verdict::kMalformed;
  const auto* quantised = reinterpret_cast<const std::uint8_t*>(data.data() + 4 * num_blocks(values.size()));
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - at);
    float scale = 0.0F;
    Verdict verdict = read_scale(data.data(), at / kBlock, scale);
    if (verdict == Verdict::kValid) {
      verdict = judge(run_on<DequantiseHalves>(set, quantised, n, scale, values.data() + at));
    }
    if (verdict != Verdict::kValid) return verdict;
    quantised += halved(n);
  }
  return Verdict::kValid;
}

}  // namespace murmur::codec
