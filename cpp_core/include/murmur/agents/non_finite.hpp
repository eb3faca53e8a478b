#pragma once

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string_view>

namespace murmur {

/// Training met NaN or infinity: an environment, a loss or a gradient went wrong. The message says which.
class NonFiniteError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throw NonFiniteError naming the first row and column of `rows` [B, width] that is not finite.
void require_finite(std::string_view what, std::span<const float> rows, std::size_t width = 1);

}  // namespace murmur
