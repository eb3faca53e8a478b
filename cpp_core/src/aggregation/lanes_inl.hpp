// Sixteen doubles in as many registers as one target's width asks for. The operations are the language's own
// on GCC's and Clang's vectors, so that few intrinsics are needed.

namespace murmur::aggregation::MURMUR_TARGET {

typedef double Wide __attribute__((vector_size(MURMUR_TARGET_BYTES)));
typedef std::uint64_t Integers __attribute__((vector_size(MURMUR_TARGET_BYTES)));  // sums wrap
typedef float Narrow __attribute__((vector_size(MURMUR_TARGET_BYTES / 2)));
typedef std::int32_t NarrowBits __attribute__((vector_size(MURMUR_TARGET_BYTES / 2)));

typedef float Floats __attribute__((vector_size(MURMUR_TARGET_BYTES)));

inline constexpr std::size_t kWidth = sizeof(Wide) / sizeof(double);
inline constexpr std::size_t kParts = kLanes / kWidth;

[[gnu::always_inline]] inline Wide widen(const float* from) noexcept {
#ifdef MURMUR_TARGET_WIDEN
  return MURMUR_TARGET_WIDEN(from);
#else
  Narrow narrow;
  std::memcpy(&narrow, from, sizeof narrow);
  return __builtin_convertvector(narrow, Wide);
#endif
}

/// a < b ? a : b and a > b ? a : b, lane by lane: of equal values the second.
[[gnu::always_inline]] inline Floats lesser(Floats a, Floats b) noexcept {
#ifdef MURMUR_TARGET_LESSER
  return MURMUR_TARGET_LESSER(a, b);
#else
  return a < b ? a : b;
#endif
}

[[gnu::always_inline]] inline Floats greater(Floats a, Floats b) noexcept {
#ifdef MURMUR_TARGET_GREATER
  return MURMUR_TARGET_GREATER(a, b);
#else
  return a > b ? a : b;
#endif
}

struct Lanes {
  Wide part[kParts];

  [[gnu::always_inline]] void read(const double* from) noexcept { std::memcpy(part, from, sizeof part); }
  [[gnu::always_inline]] void write(double* to) const noexcept { std::memcpy(to, part, sizeof part); }
};

/// The bits of |value|: above those of kMaxMagnitude for what is out of range, infinite or NaN.
inline std::int32_t magnitude_bits(float value) noexcept {
  return std::bit_cast<std::int32_t>(value) & 0x7fffffff;
}

/// Fold 16 lanes in halves.
template <class Number>
inline Number fold(Number* lanes) noexcept {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

}  // namespace murmur::aggregation::MURMUR_TARGET
