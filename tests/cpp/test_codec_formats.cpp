// Codecs on every instruction set: the same bytes, the same numbers; decoders are total. What the bytes
// should be is tested against NumPy (tests/unit/codec).
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "murmur/base/rng.hpp"
#include "murmur/codec/codec.hpp"

namespace murmur::codec {
namespace {

using Bytes = std::vector<std::byte>;

struct Format {
  std::string name;
  std::function<Bytes(std::span<const float>, InstructionSet)> encode;
  Verdict (*decode)(std::span<const std::byte>, std::span<float>, InstructionSet) noexcept;
};

std::vector<Format> formats() {
  const auto float16 = [](std::span<const float> values, InstructionSet set) {
    Bytes out(float16_bytes(values.size()));
    encode_float16(values, out, set);
    return out;
  };
  const auto int8 = [](std::span<const float> values, InstructionSet set) {
    Bytes out(int8_bytes(values.size()));
    encode_int8(values, out, set);
    return out;
  };
  const auto int4 = [](std::span<const float> values, InstructionSet set) {
    Bytes out(int4_bytes(values.size()));
    encode_int4(values, out, set);
    return out;
  };
  const auto top_k = [](std::span<const float> values, InstructionSet set) {
    return encode_top_k(values, values.size() / 10 + 1, set);
  };
  return {{"float16", float16, decode_float16},
          {"int8", int8, decode_int8},
          {"int4", int4, decode_int4},
          {"top_k", top_k, decode_top_k}};
}

/// Any bit pattern: subnormals, NaNs with payloads and infinities too.
std::vector<float> any_bits(std::size_t n, std::uint64_t seed) {
  Rng rng(seed, 0);
  std::vector<float> values(n);
  for (float& value : values) value = std::bit_cast<float>(rng.next_u32());
  return values;
}

std::vector<float> small_values(std::size_t n, std::uint64_t seed) {
  Rng rng(seed, 1);
  std::vector<float> values(n);
  for (float& value : values) value = (static_cast<float>(rng.next_u32()) - 0x1p31F) * 0x1p-40F;
  return values;
}

constexpr std::size_t kSizes[] = {0, 1, 7, 31, 64, 511, 512, 513, 20000};

TEST(CodecFormats, AllInstructionSetsWriteAndReadTheSame) {
  for (const Format& format : formats()) {
    for (const std::size_t n : kSizes) {
      for (const auto& values : {any_bits(n, n + 1), small_values(n, n + 2)}) {
        const Bytes baseline = format.encode(values, InstructionSet::kBaseline);
        std::vector<float> expected(n);
        const Verdict verdict = format.decode(baseline, expected, InstructionSet::kBaseline);
        for (const InstructionSet set : supported_instruction_sets()) {
          SCOPED_TRACE(format.name + " " + std::string(to_text(set)) + " " + std::to_string(n));
          ASSERT_EQ(format.encode(values, set), baseline);
          std::vector<float> decoded(n);
          ASSERT_EQ(format.decode(baseline, decoded, set), verdict);
          if (verdict == Verdict::kValid && n > 0) {
            ASSERT_EQ(std::memcmp(decoded.data(), expected.data(), n * sizeof(float)), 0);
          }
        }
      }
    }
  }
}

TEST(CodecFormats, DecodersTakeAnyBytes) {
  Rng rng(3, 2);
  for (const Format& format : formats()) {
    for (int trial = 0; trial < 3000; ++trial) {
      Bytes data(rng.next_u32() % 80);
      for (std::byte& byte : data) byte = static_cast<std::byte>(rng.next_u32());
      if (data.size() >= 8 && trial % 2 == 0) {  // let some of them look like top-k
        const std::uint32_t header[] = {rng.next_u32() % 8, rng.next_u32() % 64};
        std::memcpy(data.data(), header, sizeof header);
      }
      std::vector<float> values(rng.next_u32() % 40);
      if (format.decode(data, values, best_instruction_set()) == Verdict::kValid) {
        EXPECT_EQ(check_values(values), Verdict::kValid);
      }
    }
  }
}

TEST(CodecFormats, DamagedPayloadsAreValidOrRefused) {
  Rng rng(4, 3);
  const std::vector<float> values = small_values(700, 9);
  for (const Format& format : formats()) {
    const Bytes good = format.encode(values, best_instruction_set());
    for (int trial = 0; trial < 3000; ++trial) {
      Bytes data = good;
      data[rng.next_u32() % data.size()] = static_cast<std::byte>(rng.next_u32());
      if (trial % 3 == 0) data.resize(rng.next_u32() % (data.size() + 1));
      std::vector<float> decoded(values.size());
      if (format.decode(data, decoded, best_instruction_set()) == Verdict::kValid) {
        EXPECT_EQ(check_values(decoded), Verdict::kValid);
      }
    }
  }
}

// The undefined-behaviour sanitizer makes this a test of more than the numbers (preset `asan`).
TEST(CodecFormats, PayloadsMayBeginAtAnyAddress) {
  const std::vector<float> values = small_values(700, 5);
  for (const Format& format : formats()) {
    const Bytes payload = format.encode(values, best_instruction_set());
    std::vector<float> expected(values.size()), decoded(values.size());
    ASSERT_EQ(format.decode(payload, expected, best_instruction_set()), Verdict::kValid);
    for (std::size_t offset = 1; offset < 4; ++offset) {
      Bytes moved(offset);
      moved.insert(moved.end(), payload.begin(), payload.end());
      for (const InstructionSet set : supported_instruction_sets()) {
        ASSERT_EQ(format.decode(std::span(moved).subspan(offset), decoded, set), Verdict::kValid);
        ASSERT_EQ(decoded, expected) << format.name << " at " << offset;
      }
    }
  }
}

TEST(CodecFormats, TopKNeverExceedsItsBound) {
  for (const std::size_t n : kSizes) {
    const auto values = small_values(n, n);
    EXPECT_LE(encode_top_k(values, n).size(), max_top_k_bytes(n));
    std::vector<float> last(n);
    if (n > 0) last.back() = 1.0F;
    EXPECT_LE(encode_top_k(last, n).size(), max_top_k_bytes(n));
  }
}

TEST(CodecFormats, ScalesThatSomeCpusRoundToZeroAreRefused) {
  std::vector<float> values(3);
  for (const float scale : {std::numeric_limits<float>::denorm_min(), 0x1p-81F, -1.0F, -0.0F}) {
    Bytes data(int8_bytes(3));
    std::memcpy(data.data(), &scale, 4);
    EXPECT_EQ(decode_int8(data, values), Verdict::kMalformed) << scale;
  }
}

TEST(CodecFormats, ScalesAboveTheLargestMagnitudeAreRefusedWhateverTheyScale) {
  std::vector<float> values(3);
  for (const auto& [scale, verdict] : {std::pair{32768.0F, Verdict::kValid},
                                       {32769.0F, Verdict::kMagnitude},
                                       {std::numeric_limits<float>::max(), Verdict::kMagnitude}}) {
    Bytes data(int8_bytes(3));  // of zeros
    std::memcpy(data.data(), &scale, 4);
    EXPECT_EQ(decode_int8(data, values), verdict) << scale;
  }
}

/// A top-k payload of `count` ones, behind these gaps.
Bytes top_k_of(std::uint32_t count, const std::vector<std::uint8_t>& gaps) {
  const std::uint32_t header[] = {count, static_cast<std::uint32_t>(gaps.size())};
  Bytes data(sizeof header + gaps.size());
  std::memcpy(data.data(), header, sizeof header);
  // An empty vector may hold null, which memcpy must not get, whatever the size.
  if (!gaps.empty()) std::memcpy(data.data() + sizeof header, gaps.data(), gaps.size());
  Bytes kept(int8_bytes(count));
  encode_int8(std::vector<float>(count, 1.0F), kept, best_instruction_set());
  data.insert(data.end(), kept.begin(), kept.end());
  return data;
}

TEST(CodecFormats, TopKTakesAsManyGapsAsValuesThatLeadNoFurtherThanTheLast) {
  struct Case {
    std::uint32_t count;
    std::vector<std::uint8_t> gaps;
    Verdict verdict;
  };
  const Case cases[] = {
      {1, {4}, Verdict::kValid},
      {1, {5}, Verdict::kMalformed},
      {2, {0, 3}, Verdict::kValid},
      {2, {0, 4}, Verdict::kMalformed},
      {2, {0}, Verdict::kMalformed},
      {2, {}, Verdict::kMalformed},
      {1, {0, 0}, Verdict::kMalformed},
      {1, {255}, Verdict::kMalformed},
      {1, {0, 255}, Verdict::kMalformed},
      {1, {255, 0}, Verdict::kMalformed},
      {0, {}, Verdict::kValid},
      {0, {0}, Verdict::kMalformed},
      {5, {0, 0, 0, 0, 0}, Verdict::kValid},
      {6, {0, 0, 0, 0, 0, 0}, Verdict::kSize},
  };
  for (const Case& each : cases) {
    std::vector<float> memory(6, 7.0F);  // the last one is not the decoder's
    const std::span<float> values(memory.data(), 5);
    EXPECT_EQ(decode_top_k(top_k_of(each.count, each.gaps), values), each.verdict) << each.count;
    EXPECT_EQ(memory.back(), 7.0F);
  }
}

}  // namespace
}  // namespace murmur::codec
