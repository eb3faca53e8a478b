#pragma once
// Deltas as few bytes: float16, int8 and int4 in blocks, and the largest values with their positions.
//
// Formats are little-endian and a function of the values alone: every instruction set and every CPU writes
// the same bytes and reads the same numbers (one rounding an operation, no fused products, no subnormal
// scales). Every decoder is total: whatever the bytes are, it fills the output it was given or says what is
// wrong, and it allocates nothing.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "murmur/base/instruction_set.hpp"

namespace murmur::codec {

static_assert(std::endian::native == std::endian::little, "payloads are written as memory is");

/// Bound on the absolute value of a coordinate, that of fixed-point aggregation.
inline constexpr float kMaxMagnitude = 32768.0F;

/// Values that share one scale of int8 or int4. Larger blocks cost fewer bytes, smaller ones less precision;
/// error feedback makes up for the latter.
inline constexpr std::size_t kBlock = 512;

/// What a decoder found. The numbers are part of the Python border (peer/codec/kernels.py).
enum class Verdict : int {
  kValid = 0,
  kSize = 1,       // not as long as this format makes it
  kNotFinite = 2,  // NaN or infinity
  kMagnitude = 3,  // a coordinate beyond kMaxMagnitude
  kMalformed = 4,  // what no encoder writes
};

/// Say whether all values are finite and in range.
[[nodiscard]] Verdict check_values(std::span<const float> values,
                                   InstructionSet set = best_instruction_set()) noexcept;

/// Half precision times one power of two, 4 + 2 n bytes: i32 exponent e, then IEEE binary16[n], round to
/// even. The exponent brings the largest value into [2^14, 2^15), so that small deltas keep their 11 bits.
[[nodiscard]] std::size_t float16_bytes(std::size_t num_values) noexcept;
/// `out` has float16_bytes(values.size()) bytes.
void encode_float16(std::span<const float> values, std::span<std::byte> out,
                    InstructionSet set = best_instruction_set()) noexcept;
[[nodiscard]] Verdict decode_float16(std::span<const std::byte> data, std::span<float> values,
                                     InstructionSet set = best_instruction_set()) noexcept;

/// Blocks of kBlock values: f32 scale[ceil(n / block)], then i8[n]; a value is q * scale, |q| <= 127,
/// with scale = the block's largest magnitude / 127. Blocks below 2^-64 become zero.
[[nodiscard]] std::size_t int8_bytes(std::size_t num_values) noexcept;
/// `out` has int8_bytes(values.size()) bytes.
void encode_int8(std::span<const float> values, std::span<std::byte> out,
                 InstructionSet set = best_instruction_set()) noexcept;
[[nodiscard]] Verdict decode_int8(std::span<const std::byte> data, std::span<float> values,
                                  InstructionSet set = best_instruction_set()) noexcept;

/// As int8, with 4 bits a value: f32 scale[ceil(n / block)], then u8[ceil(n / 2)]; a value is q * scale, |q|
/// <= 7, with scale = the block's largest magnitude / 7. Of a block of m values, byte j has value j in its
/// low half and value ceil(m / 2) + j in its high half, as two's complement; a high half that no value needs
/// is 0.
[[nodiscard]] std::size_t int4_bytes(std::size_t num_values) noexcept;
/// `out` has int4_bytes(values.size()) bytes.
void encode_int4(std::span<const float> values, std::span<std::byte> out,
                 InstructionSet set = best_instruction_set()) noexcept;
[[nodiscard]] Verdict decode_int4(std::span<const std::byte> data, std::span<float> values,
                                  InstructionSet set = best_instruction_set()) noexcept;

/// The `keep` values of largest magnitude, equal ones in order of position, zeros never: u32 count, u32 g,
/// u8 gaps[g], then the values as int8. A gap is the number of values left out before one; 255 stands for 255
/// left out and says that more of the gap follows.
[[nodiscard]] std::vector<std::byte> encode_top_k(std::span<const float> values, std::size_t keep,
                                                  InstructionSet set = best_instruction_set());
/// Bytes that a valid payload cannot exceed, whatever its encoder kept.
[[nodiscard]] std::size_t max_top_k_bytes(std::size_t num_values) noexcept;
[[nodiscard]] Verdict decode_top_k(std::span<const std::byte> data, std::span<float> values,
                                   InstructionSet set = best_instruction_set()) noexcept;

}  // namespace murmur::codec
