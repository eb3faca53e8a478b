/// How many threads an operation of libtorch uses.
#pragma once

namespace murmur {

/// Have operations that the calling thread asks of libtorch use `count` threads; return how many it was.
///
/// Other threads keep theirs, also those that begin later: the process may be somebody's, who uses torch,
/// too. Cheap where nothing changes. Where the system gives no thread, those that begin later get `count`.
int set_torch_threads(int count) noexcept;

}  // namespace murmur
