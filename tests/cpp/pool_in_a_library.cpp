// Built twice, into two libraries that share no symbols: one makes a thread pool, the other runs loops with
// it.

#include <atomic>
#include <cstddef>

#include "murmur/base/thread_pool.hpp"

extern "C" murmur::ThreadPool* murmur_test_make_pool(int num_threads) {
  return new murmur::ThreadPool(num_threads);
}

extern "C" std::size_t murmur_test_run_loop(murmur::ThreadPool* pool) {
  std::atomic<std::size_t> visited{0};
  pool->parallel_for(96, [&](std::size_t begin, std::size_t end) noexcept { visited += end - begin; });
  return visited.load();
}
