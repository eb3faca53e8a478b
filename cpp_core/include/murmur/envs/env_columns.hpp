#pragma once
// Columns to values and back, by packs and not by loops: arrays that GCC sees indexed by a loop variable stay
// in memory, and the loop over envs would not vectorise.

#include <cstddef>
#include <utility>

namespace murmur {

template <std::size_t Size>
using Indices = std::make_index_sequence<Size>;

template <class Values, class Columns, std::size_t... K>
[[gnu::always_inline]] inline Values read(const Columns& columns, std::size_t i,
                                          std::index_sequence<K...>) noexcept {
  return {columns[K][i]...};
}

template <class Values, std::size_t... K>
[[gnu::always_inline]] inline Values read_row(const float* row, std::index_sequence<K...>) noexcept {
  return {row[K]...};
}

template <class Values, class Columns, std::size_t... K>
[[gnu::always_inline]] inline void write(const Values& values, const Columns& columns, std::size_t i,
                                         std::index_sequence<K...>) noexcept {
  ((columns[K][i] = values[K]), ...);
}

template <class Values, std::size_t... K>
[[gnu::always_inline]] inline void write_row(const Values& values, float* row,
                                             std::index_sequence<K...>) noexcept {
  ((row[K] = values[K]), ...);
}

}  // namespace murmur
