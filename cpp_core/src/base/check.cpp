#include "murmur/base/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace murmur {

namespace {

// Levenshtein distance, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

template <class T>
void check_all_finite(std::string_view name, std::span<const T> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw_invalid(std::string(name) + "[" + std::to_string(i) + "] is " +
                    to_text(static_cast<double>(values[i])) + ", expected a finite number");
    }
  }
}

}  // namespace

void assertion_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: invariant broken: %s\n", file, line, condition);
  std::abort();
}

void throw_invalid(const std::string& message) {
  throw std::invalid_argument(message);
}

void check_size(std::string_view name, std::size_t expected, std::size_t got) {
  if (got != expected) {
    throw_invalid(std::string(name) + " needs " + std::to_string(expected) + " elements, got " +
                  std::to_string(got));
  }
}

void check_finite(std::string_view name, std::span<const float> values) {
  check_all_finite(name, values);
}
void check_finite(std::string_view name, std::span<const double> values) {
  check_all_finite(name, values);
}

std::string to_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::string suggest_name(std::string_view unknown, std::span<const std::string_view> names) {
  MURMUR_ASSERT(!names.empty());
  // Bounded, because the name comes from outside and the distance is quadratic.
  const std::string_view start = unknown.substr(0, 64);
  std::string_view nearest = names[0];
  std::size_t best = edit_distance(start, nearest);
  std::string list;
  for (const std::string_view name : names) {
    if (const std::size_t distance = edit_distance(start, name); distance < best) {
      best = distance;
      nearest = name;
    }
    list += (list.empty() ? "'" : ", '") + std::string(name) + "'";
  }
  return list + "; the nearest is '" + std::string(nearest) + "'";
}

}  // namespace murmur
