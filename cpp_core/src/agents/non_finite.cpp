#include "murmur/agents/non_finite.hpp"

#include <cmath>
#include <string>

namespace murmur {
namespace {

/// x - x is 0 for every finite x and NaN otherwise, so one sum over all decides without a branch per element.
bool all_finite(std::span<const float> values) noexcept {
  float sum = 0.0F;
  for (const float x : values) sum += x - x;
  return sum == 0.0F;
}

}  // namespace

void require_finite(std::string_view what, std::span<const float> rows, std::size_t width) {
  if (all_finite(rows)) return;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(rows[i])) continue;
    std::string text = std::string(what) + " is " + (std::isnan(rows[i]) ? "NaN" : "infinite") + " in row " +
                       std::to_string(i / width);
    if (width > 1) text += ", component " + std::to_string(i % width);
    throw NonFiniteError(text);
  }
}

}  // namespace murmur
