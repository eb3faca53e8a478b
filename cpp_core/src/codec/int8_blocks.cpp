#include <algorithm>
#include <cstring>
#include <span>

#include "codec/block_scale.hpp"
#include "codec/int8_view.hpp"
#include "codec/values.hpp"
#include "murmur/base/check.hpp"

namespace murmur::codec {

std::size_t int8_bytes(std::size_t num_values) noexcept {
  return 4 * num_blocks(num_values) + num_values;
}

void encode_int8(std::span<const float> values, std::span<std::byte> out, InstructionSet set) noexcept {
  MURMUR_ASSERT(out.size() == int8_bytes(values.size()));
  std::byte* scales = out.data();
  auto* quantised = reinterpret_cast<std::int8_t*>(out.data() + (out.size() - values.size()));
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - at);
    const BlockScale block = block_scale(run_on<LargestMagnitude>(set, values.data() + at, n), 127.0F);
    if (block.inverse == 0.0F) {
      std::memset(quantised + at, 0, n);
    } else {
      run_on<Quantise>(set, values.data() + at, n, block.inverse, quantised + at);
    }
    std::memcpy(scales, &block.scale, 4);
    scales += 4;
  }
}

Int8View::Int8View(std::span<const std::byte> data, std::size_t num_values) noexcept
    : scales_(data.first(data.size() - num_values)), quantised_(data.last(num_values)) {
  MURMUR_ASSERT(data.size() == int8_bytes(num_values));
}

Verdict Int8View::decode_block(std::size_t at, std::span<float> values, InstructionSet set) const noexcept {
  float scale = 0.0F;
  if (const Verdict verdict = read_scale(scales_.data(), at / kBlock, scale); verdict != Verdict::kValid) {
    return verdict;
  }
  const auto* quantised = reinterpret_cast<const std::int8_t*>(quantised_.data() + at);
  return judge(run_on<Dequantise>(set, quantised, values.size(), scale, values.data()));
}

Verdict decode_int8(std::span<const std::byte> data, std::span<float> values, InstructionSet set) noexcept {
  if (data.size() != int8_bytes(values.size())) return Verdict::kSize;
  const Int8View view(data, values.size());
  for (std::size_t at = 0; at < values.size(); at += kBlock) {
    const std::size_t n = std::min(kBlock, values.size() - at);
    if (const Verdict verdict = view.decode_block(at, values.subspan(at, n), set);
        verdict != Verdict::kValid) {
      return verdict;
    }
  }
  return Verdict::kValid;
}

}  // namespace murmur::codec
