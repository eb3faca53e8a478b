#include "murmur/base/thread_pool.hpp"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "murmur/base/affinity.hpp"
#include "murmur/base/check.hpp"

namespace murmur {

namespace {

// Between two loops of a rollout lie a few microseconds; a futex sleep and wake costs about as much. Longer
// spins would steal the core from another peer on the same machine.
constexpr int kSpins = 2000;

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Return once `is_true()`: spin for a while, then sleep on `condition`. Who makes it true locks `mutex`
// between that and the notification.
//
// Not std::atomic::wait: libstdc++ keeps its waiters in a table that each shared library may have for itself,
// and a pool made in one library is used from another.
template <class Predicate>
void wait_until(std::mutex& mutex, std::condition_variable& condition, const Predicate& is_true) noexcept {
  for (int i = 0; i < kSpins; ++i) {
    if (is_true()) return;
    relax();
  }
  std::unique_lock lock(mutex);
  condition.wait(lock, is_true);
}

}  // namespace

struct ThreadPool::Crew {
  std::mutex mutex;
  std::condition_variable started;   // `generation_` moved on
  std::condition_variable finished;  // `pending_` is 0
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int num_threads, std::span<const int> cpus)
    : num_threads_(num_threads), maker_(::getpid()), crew_(std::make_unique<Crew>()) {
  if (num_threads < 1 || num_threads > kMaxThreads) {
    throw_invalid("num_threads must lie in 1.." + std::to_string(kMaxThreads) + ", got " +
                  std::to_string(num_threads));
  }
  check_cpus(num_threads, cpus);
  const auto num_workers = static_cast<std::size_t>(num_threads - 1);
  crew_->workers.reserve(num_workers);
  try {
    for (std::size_t i = 0; i < num_workers; ++i) {
      // A thread starts with the cores of its maker; so it is where it shall be before it does anything.
      const PinnedScope pinned(cpus.empty() ? cpus : cpus.subspan(i + 1, 1));
      crew_->workers.emplace_back([this, i] { work(i + 1); });
    }
  } catch (...) {  // the system refused a thread: end those that started, then report
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  if (is_forked()) {
    // To join threads that are not there, or to destroy what they slept on, would wait for them for ever.
    static_cast<void>(crew_.release());
  } else {
    stop();
  }
}

bool ThreadPool::is_forked() const noexcept {
  return ::getpid() != maker_;
}

void ThreadPool::start_generation() noexcept {
  {
    const std::lock_guard lock(crew_->mutex);
    generation_.fetch_add(1, std::memory_order_release);
  }
  crew_->started.notify_all();
}

void ThreadPool::stop() noexcept {
  stopping_.store(true, std::memory_order_relaxed);
  start_generation();
  for (std::thread& worker : crew_->workers) worker.join();
}

void ThreadPool::run(std::size_t n, std::size_t shard_size, void* fn, Body body) noexcept {
  if (is_forked()) {
    body(fn, 0, n);
    return;
  }
  MURMUR_ASSERT(!busy_.exchange(true, std::memory_order_acquire) && "one parallel_for at a time");
  fn_ = fn;
  body_ = body;
  n_ = n;
  shard_size_ = shard_size;
  pending_.store(static_cast<std::uint32_t>(num_threads_ - 1), std::memory_order_relaxed);
  start_generation();
  run_shard(0);
  wait_until(crew_->mutex, crew_->finished, [this] { return pending_.load(std::memory_order_acquire) == 0; });
  busy_.store(false, std::memory_order_release);
}

void ThreadPool::run_shard(std::size_t index) noexcept {
  const std::size_t begin = std::min(n_, index * shard_size_);
  const std::size_t end = std::min(n_, begin + shard_size_);
  if (begin < end) body_(fn_, begin, end);
}

void ThreadPool::work(std::size_t index) noexcept {
  std::uint32_t seen = 0;
  for (;;) {
    wait_until(crew_->mutex, crew_->started,
               [&] { return generation_.load(std::memory_order_acquire) != seen; });
    // The pool cannot move on twice before this worker has counted down, so no generation is missed.
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    run_shard(index);
    if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      {
        const std::lock_guard lock(crew_->mutex);
      }
      crew_->finished.notify_one();
    }
  }
}

}  // namespace murmur
