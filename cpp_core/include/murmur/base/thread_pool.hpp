#pragma once
// Persistent workers for data-parallel loops. Shards are fixed by (n, number of threads) alone, so a loop
// whose iterations are independent gives the same bytes whichever thread runs first.

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

namespace murmur {

/// A fixed set of threads; the caller is one of them, so size 1 starts none and runs inline.
///
/// One loop at a time: `parallel_for` must not be called from two threads at once nor from inside a loop.
/// A process forked from the pool's maker has none of its workers: there loops run inline.
class ThreadPool {
 public:
  static constexpr int kMaxThreads = 1024;

  /// cpus: the core of each thread, the first being the caller's own, who pins itself (PinnedScope); empty
  /// leaves all of them to the system. Throws std::invalid_argument unless 1 <= num_threads <= kMaxThreads
  /// and `check_cpus`.
  explicit ThreadPool(int num_threads, std::span<const int> cpus = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int size() const noexcept { return num_threads_; }

  /// Call `fn(begin, end)` for disjoint shards that cover [0, n), and return when all are done.
  ///
  /// `fn` must be noexcept and safe to run at once on disjoint shards. No shard but the last is smaller than
  /// `grain`, and begins are multiples of 16: small loops stay on the caller, and neighbours share no cache
  /// line.
  template <class Fn>
  void parallel_for(std::size_t n, std::size_t grain, Fn&& fn) noexcept {
    share_out(n, grain, kLine, static_cast<Fn&&>(fn));
  }

  template <class Fn>
  void parallel_for(std::size_t n, Fn&& fn) noexcept {
    parallel_for(n, 1, static_cast<Fn&&>(fn));
  }

  /// Likewise for `n` tasks, each of which is worth a thread: shards begin anywhere, and differ in size by as
  /// little as they can.
  template <class Fn>
  void parallel_tasks(std::size_t n, Fn&& fn) noexcept {
    share_out(n, 1, 1, static_cast<Fn&&>(fn));
  }

 private:
  static constexpr std::size_t kLine = 16;  // floats: one cache line, one AVX-512 register

  struct Crew;  // the workers, and what they and the caller sleep on

  using Body = void (*)(void*, std::size_t, std::size_t) noexcept;

  /// `multiple`: where shards may begin.
  template <class Fn>
  void share_out(std::size_t n, std::size_t grain, std::size_t multiple, Fn&& fn) noexcept {
    using F = std::remove_reference_t<Fn>;
    static_assert(std::is_nothrow_invocable_v<F&, std::size_t, std::size_t>, "workers must not throw");
    if (n == 0) return;
    if (num_threads_ == 1 || n <= grain) {
      fn(std::size_t{0}, n);
      return;
    }
    const auto num_shards = static_cast<std::size_t>(num_threads_);
    const std::size_t size = std::max((n + num_shards - 1) / num_shards, grain);
    auto* address = const_cast<void*>(static_cast<const void*>(&fn));
    run(n, (size + multiple - 1) / multiple * multiple, address,
        [](void* f, std::size_t begin, std::size_t end) noexcept { (*static_cast<F*>(f))(begin, end); });
  }

  void run(std::size_t n, std::size_t shard_size, void* fn, Body body) noexcept;
  void run_shard(std::size_t index) noexcept;
  void work(std::size_t index) noexcept;
  void start_generation() noexcept;
  void stop() noexcept;
  [[nodiscard]] bool is_forked() const noexcept;

  // The job, written by the caller before `generation_` moves on and read by workers after they saw it move.
  void* fn_ = nullptr;
  Body body_ = nullptr;
  std::size_t n_ = 0;
  std::size_t shard_size_ = 0;

  alignas(64) std::atomic<std::uint32_t> generation_{0};
  alignas(64) std::atomic<std::uint32_t> pending_{0};
  std::atomic<bool> busy_{false};
  std::atomic<bool> stopping_{false};
  int num_threads_;
  pid_t maker_;  // the process that has the workers
  std::unique_ptr<Crew> crew_;
};

}  // namespace murmur
