#pragma once

#include <cstddef>
#include <cstdint>

#include "murmur/base/instruction_set.hpp"

namespace murmur::codec {

/// Room that `select_positions` may write beyond what it selects.
inline constexpr std::size_t kSelectSlack = 16;

/// Write the positions in [begin, end) whose value's magnitude has at least `lowest_bits`, in order; return
/// how many. `out` has room for end - begin + kSelectSlack.
[[nodiscard]] std::size_t select_positions(const float* values, std::size_t begin, std::size_t end,
                                           std::uint32_t lowest_bits, std::uint32_t* out,
                                           InstructionSet set) noexcept;

}  // namespace murmur::codec
