#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "codec/int8_view.hpp"
#include "codec/loops_inl.hpp"
#include "codec/select.hpp"
#include "murmur/base/check.hpp"

namespace murmur::codec {

namespace {

constexpr std::size_t kHeaderBytes = 8;
constexpr std::uint8_t kLongGap = 255;
constexpr std::size_t kSamples = 4096;
// No position: encode_top_k refuses so many values.
constexpr std::uint32_t kDropped = std::numeric_limits<std::uint32_t>::max();

/// Positions of the values whose magnitude has at least these bits, in order. `expected`: about how many.
std::vector<std::uint32_t> positions_from(std::span<const float> values, std::uint32_t lowest_bits,
                                          std::size_t expected, InstructionSet set) {
  constexpr std::size_t kRun = 4096;
  std::vector<std::uint32_t> positions(expected + kRun + kSelectSlack);
  std::size_t count = 0;
  for (std::size_t at = 0; at < values.size(); at += kRun) {
    if (count + kRun + kSelectSlack > positions.size()) positions.resize(2 * positions.size());
    const std::size_t end = std::min(values.size(), at + kRun);
    count += select_positions(values.data(), at, end, lowest_bits, positions.data() + count, set);
  }
  positions.resize(count);
  return positions;
}

/// A guess, from a sample, that a little more than `keep` values reach; it decides speed, never the result.
std::uint32_t guess_threshold(std::span<const float> values, std::size_t keep) {
  if (values.size() < 4 * kSamples) return 1;
  std::vector<std::uint32_t> sample(kSamples);
  const std::size_t stride = values.size() / kSamples;
  for (std::size_t i = 0; i < kSamples; ++i) sample[i] = magnitude_bits(values[i * stride]);
  const double share = static_cast<double>(keep) / static_cast<double>(values.size());
  const double rank = kSamples * share + 4.0 * std::sqrt(kSamples * share) + 1.0;
  if (rank >= kSamples) return 1;
  const auto nth = sample.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(sample.begin(), nth, sample.end(), std::greater<>());
  return std::max(*nth, 1U);
}

/// The `keep`-th largest of `magnitudes` (1 <= keep <= size), by radix: three passes, no comparison sort.
std::uint32_t nth_largest(std::vector<std::uint32_t> magnitudes, std::size_t keep) {
  std::uint32_t result = 0;
  for (const unsigned shift : {20U, 10U, 0U}) {
    const std::uint32_t mask = shift == 20U ? 0x7ffU : 0x3ffU;
    // Two, because neighbours often hit the same digit.
    std::array<std::array<std::uint32_t, 2048>, 2> counts{};
    for (std::size_t i = 0; i < magnitudes.size(); ++i) ++counts[i % 2][(magnitudes[i] >> shift) & mask];
    std::uint32_t digit = mask;
    for (; counts[0][digit] + counts[1][digit] < keep; --digit) keep -= counts[0][digit] + counts[1][digit];
    result |= digit << shift;
    std::size_t left = 0;
    for (const std::uint32_t bits : magnitudes) {
      magnitudes[left] = bits;
      left += ((bits >> shift) & mask) == digit ? 1U : 0U;
    }
    magnitudes.resize(left);
  }
  return result;
}

/// Positions of the `keep` largest magnitudes above zero, in order; of equal ones the first.
///
/// Everything is decided on one copy of the magnitudes: whoever changes `values` meanwhile gets a selection
/// that fits no moment, but no more than `keep` of them.
std::vector<std::uint32_t> largest_positions(std::span<const float> values, std::size_t keep,
                                             InstructionSet set) {
  auto positions = positions_from(values, guess_threshold(values, keep), keep + keep / 4 + 1024, set);
  if (positions.size() < keep) positions = positions_from(values, 1, values.size(), set);
  if (positions.size() <= keep) return positions;
  std::vector<std::uint32_t> magnitudes(positions.size());
  for (std::size_t i = 0; i < positions.size(); ++i) magnitudes[i] = magnitude_bits(values[positions[i]]);
  const std::uint32_t threshold = nth_largest(magnitudes, keep);
  std::size_t count = 0;
  for (std::size_t i = 0; i < magnitudes.size(); ++i) {
    positions[count] = positions[i];
    magnitudes[count] = magnitudes[i];
    count += magnitudes[count] >= threshold ? 1U : 0U;
  }
  positions.resize(count);
  for (std::size_t i = count; i > 0 && count > keep; --i) {  // ties too many: the last of them go
    if (magnitudes[i - 1] != threshold) continue;
    positions[i - 1] = kDropped;
    --count;
  }
  if (positions.size() > keep) std::erase(positions, kDropped);
  return positions;
}

std::vector<std::uint8_t> gaps_of(std::span<const std::uint32_t> positions) {
  std::vector<std::uint8_t> gaps;
  gaps.reserve(positions.size() + positions.size() / 8 + 16);
  std::uint32_t next = 0;
  for (const std::uint32_t position : positions) {
    std::uint32_t gap = position - next;
    for (; gap >= kLongGap; gap -= kLongGap) gaps.push_back(kLongGap);
    gaps.push_back(static_cast<std::uint8_t>(gap));
    next = position + 1;
  }
  return gaps;
}

}  // namespace

std::size_t max_top_k_bytes(std::size_t num_values) noexcept {
  return kHeaderBytes + num_values + num_values / kLongGap + int8_bytes(num_values);
}

std::vector<std::byte> encode_top_k(std::span<const float> values, std::size_t keep, InstructionSet set) {
  if (values.size() >= std::numeric_limits<std::uint32_t>::max()) throw_invalid("top-k: too many values");
  const auto positions = largest_positions(values, std::min(keep, values.size()), set);
  const auto gaps = gaps_of(positions);
  std::vector<float> kept(positions.size());
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = values[positions[i]];

  std::vector<std::byte> out(kHeaderBytes + gaps.size() + int8_bytes(kept.size()));
  const std::array<std::uint32_t, 2> header = {static_cast<std::uint32_t>(kept.size()),
                                               static_cast<std::uint32_t>(gaps.size())};
  std::memcpy(out.data(), header.data(), kHeaderBytes);
  if (!gaps.empty()) std::memcpy(out.data() + kHeaderBytes, gaps.data(), gaps.size());
  encode_int8(kept, std::span(out).subspan(kHeaderBytes + gaps.size()), set);
  return out;
}

Verdict decode_top_k(std::span<const std::byte> data, std::span<float> values, InstructionSet set) noexcept {
  if (data.size() < kHeaderBytes) return Verdict::kSize;
  std::array<std::uint32_t, 2> header{};
  std::memcpy(header.data(), data.data(), kHeaderBytes);
  const std::size_t count = header[0];
  const std::size_t num_gaps = header[1];
  if (count > values.size() || num_gaps > data.size() ||
      data.size() != kHeaderBytes + num_gaps + int8_bytes(count)) {
    return Verdict::kSize;
  }
  const auto gaps = data.subspan(kHeaderBytes, num_gaps);
  const Int8View kept(data.subspan(kHeaderBytes + num_gaps), count);
  std::ranges::fill(values, 0.0F);

  std::array<float, kBlock> block;
  std::size_t position = 0;  // of the next value that may be there
  std::size_t g = 0;
  for (std::size_t at = 0; at < count; at += kBlock) {
    const std::size_t n = std::min(kBlock, count - at);
    if (const Verdict verdict = kept.decode_block(at, {block.data(), n}, set); verdict != Verdict::kValid) {
      return verdict;
    }
    for (std::size_t i = 0; i < n; ++i) {
      while (g < num_gaps && static_cast<std::uint8_t>(gaps[g]) == kLongGap) {
        position += kLongGap;
        ++g;
      }
      if (g == num_gaps) return Verdict::kMalformed;
      position += static_cast<std::uint8_t>(gaps[g++]);
      if (position >= values.size()) return Verdict::kMalformed;
      values[position++] = block[i];
    }
  }
  return g == num_gaps ? Verdict::kValid : Verdict::kMalformed;
}

}  // namespace murmur::codec
