#pragma once
// Two kinds of failure: a caller's mistake throws std::invalid_argument at the border; a broken invariant of
// our own ends the process with the condition's text, because going on would train on garbage.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

/// End the process, naming the condition, when an invariant of our own is broken. Active in every build.
#define MURMUR_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::murmur::assertion_failed(#condition, __FILE__, __LINE__))

namespace murmur {

/// Print the broken condition to stderr and abort. Called by MURMUR_ASSERT.
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

/// Throw std::invalid_argument with `message`: what was expected, what came, what to do.
[[noreturn]] void throw_invalid(const std::string& message);

/// Throw std::invalid_argument unless `got == expected`; `name` says which array or field.
void check_size(std::string_view name, std::size_t expected, std::size_t got);

/// Throw std::invalid_argument naming the first NaN or infinite element of `values`.
void check_finite(std::string_view name, std::span<const float> values);
void check_finite(std::string_view name, std::span<const double> values);

/// Write a number as a person would ("0.5", "200", "1e-08"), for error messages.
[[nodiscard]] std::string to_text(double value);

/// Return "'a', 'b', 'c'" followed by the nearest name, for messages about an unknown name.
/// `names` must not be empty.
[[nodiscard]] std::string suggest_name(std::string_view unknown, std::span<const std::string_view> names);

}  // namespace murmur
