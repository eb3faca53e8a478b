#pragma once

#include <string_view>
#include <vector>

namespace murmur {

/// What a kernel may be compiled for. Results are the same bytes on all of them: every kernel does the
/// same IEEE operations in the same order, and none is fused (-ffp-contract=off).
enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

/// "baseline", "avx2" or "avx512".
[[nodiscard]] std::string_view to_text(InstructionSet set) noexcept;

/// Those that this processor has, the slowest first; the baseline is always one of them.
[[nodiscard]] std::vector<InstructionSet> supported_instruction_sets();

/// The fastest that this processor has.
[[nodiscard]] InstructionSet best_instruction_set() noexcept;

}  // namespace murmur
