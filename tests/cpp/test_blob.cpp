#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "expect_message.hpp"
#include "murmur/base/blob.hpp"
#include "murmur/base/hash.hpp"
#include "murmur/base/rng.hpp"

namespace murmur {
namespace {

constexpr BlobKind kKind = {"MURMTEST", 3};

std::vector<std::byte> sample_blob() {
  BlobWriter writer(kKind);
  writer.put("weights", std::vector<float>{1.5F, -2.0F, 0.25F});
  writer.put("steps", std::uint64_t{123456789012345});
  writer.put("name", std::string_view("CartPole-v1"));
  writer.put("empty", std::vector<double>{});
  return std::move(writer).finish();
}

// Recompute the digest, as an attacker or a strange disk might: then only the field checks stand.
std::vector<std::byte> resealed(std::vector<std::byte> bytes) {
  Fnv1a hash;
  hash.update(std::span(bytes).first(bytes.size() - 8));
  const std::uint64_t digest = hash.digest();
  std::memcpy(bytes.data() + bytes.size() - 8, &digest, 8);
  return bytes;
}

void read_all(std::span<const std::byte> bytes) {
  BlobReader reader(bytes, kKind);
  std::vector<float> weights(3);
  reader.get("weights", weights);
  (void)reader.get<std::uint64_t>("steps");
  (void)reader.get_text("name", 64);
  std::vector<double> empty;
  reader.get("empty", empty);
  reader.expect_end();
}

TEST(Blob, RoundTripsEveryField) {
  const auto bytes = sample_blob();
  BlobReader reader(bytes, kKind);
  std::vector<float> weights(3);
  reader.get("weights", weights);
  EXPECT_EQ(weights, (std::vector<float>{1.5F, -2.0F, 0.25F}));
  EXPECT_EQ(reader.get<std::uint64_t>("steps"), 123456789012345U);
  EXPECT_EQ(reader.get_text("name", 64), "CartPole-v1");
  std::vector<double> empty;
  reader.get("empty", empty);
  EXPECT_NO_THROW(reader.expect_end());
}

TEST(Blob, ForeignFileAndOtherVersionAreNamed) {
  const auto bytes = sample_blob();
  EXPECT_MESSAGE(BlobReader(bytes, {"OTHERFMT", 3}), BlobError,
                 "not a 'OTHERFMT' file: it starts with 'MURMTEST'");
  EXPECT_MESSAGE(BlobReader(bytes, {"MURMTEST", 4}), BlobError, "version 3, this program reads 4");
}

TEST(Blob, WrongNameTypeOrCountIsNamed) {
  const auto bytes = sample_blob();
  std::vector<float> four(4);
  std::vector<std::int32_t> integers(3);
  EXPECT_MESSAGE(BlobReader(bytes, kKind).get("bias", four), BlobError,
                 "expected field 'bias', found 'weights'");
  EXPECT_MESSAGE(BlobReader(bytes, kKind).get("weights", four), BlobError, "has 3 values, expected 4");
  EXPECT_MESSAGE(BlobReader(bytes, kKind).get("weights", integers), BlobError, "has type 5, expected type 2");
  EXPECT_MESSAGE(BlobReader(bytes, kKind).expect_end(), BlobError, "left over");
}

TEST(Blob, TextBeyondTheBoundIsRefused) {
  BlobWriter writer(kKind);
  writer.put("name", std::string_view("0123456789"));
  const auto bytes = std::move(writer).finish();
  EXPECT_MESSAGE(BlobReader(bytes, kKind).get_text("name", 9), BlobError, "at most 9");
}

TEST(Blob, TextThatIsNotPrintableIsRefused) {
  for (const std::string_view text : {"Cart\x1b[2J", "Cart\xff", "Cart\n"}) {
    BlobWriter writer(kKind);
    writer.put("name", text);
    const auto bytes = std::move(writer).finish();
    EXPECT_MESSAGE(BlobReader(bytes, kKind).get_text("name", 64), BlobError, "characters that no text");
  }
}

TEST(Blob, EveryTruncationIsAnErrorNotACrash) {
  const auto bytes = sample_blob();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THROW(read_all(std::span(bytes).first(size)), BlobError) << "cut to " << size << " bytes";
  }
}

TEST(Blob, EverySingleFlippedBitIsNoticed) {
  const auto bytes = sample_blob();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= std::byte{static_cast<unsigned char>(1U << (bit % 8))};
    EXPECT_THROW(read_all(damaged), BlobError) << "flipped bit " << bit;
  }
}

TEST(Blob, GarbageWithAValidDigestIsAnErrorOrHarmless) {
  const auto bytes = sample_blob();
  Rng rng(11);
  for (int round = 0; round < 20000; ++round) {
    auto damaged = bytes;
    const std::uint64_t hits = 1 + rng.below(4);
    for (std::uint64_t k = 0; k < hits; ++k) {
      damaged[12 + rng.below(damaged.size() - 20)] = static_cast<std::byte>(rng.next_u32());
    }
    try {
      read_all(resealed(damaged));  // only values may differ: names, types and counts are checked
    } catch (const BlobError&) {
    }
  }
}

TEST(Blob, AbsurdCountIsRefusedWithoutAllocating) {
  auto bytes = sample_blob();
  const std::uint64_t absurd = ~0ULL / 2;
  std::memcpy(bytes.data() + 12 + 1 + 7 + 1, &absurd, sizeof absurd);  // count of "weights"
  bytes = resealed(bytes);
  std::vector<float> weights(3);
  EXPECT_MESSAGE(BlobReader(bytes, kKind).get("weights", weights), BlobError, "cut short");
}

}  // namespace
}  // namespace murmur
