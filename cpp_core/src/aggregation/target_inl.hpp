// All loops for one target, in the order in which they use each other. Included once a target, by
// kernel_set.cpp, which defines:
//
//   MURMUR_TARGET                          the namespace
//   MURMUR_TARGET_BYTES                    of a register
//   MURMUR_TARGET_WIDEN(from)              a register of doubles from floats, and
//   MURMUR_TARGET_LESSER(a, b), _GREATER   min and max as x86 has them: where the compiler's own are slow

#include "lanes_inl.hpp"

#include "fixed_point_inl.hpp"

#include "distances_inl.hpp"
#include "sums_inl.hpp"
#include "trimmed_mean_inl.hpp"

#undef MURMUR_TARGET
#undef MURMUR_TARGET_BYTES
#undef MURMUR_TARGET_WIDEN
#undef MURMUR_TARGET_LESSER
#undef MURMUR_TARGET_GREATER
