#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace murmur::python {

/// Keeps threads out of a library once the process is ending.
///
/// exit() destroys a library's globals whoever computes with them: Python's daemon threads run on until the
/// process is gone. Who is inside when the gate closes comes out first; who comes later waits for the end.
/// For an object of static storage, which nothing destroys.
class ExitGate {
 public:
  /// Inside for as long as it lives; one at a time for each thread.
  class Pass {
   public:
    explicit Pass(ExitGate& gate) noexcept : gate_(gate) {
      gate_.inside_.fetch_add(1);
      if (!gate_.is_closed_.load()) return;
      gate_.inside_.fetch_sub(1);
      for (;;) ::pause();
    }
    ~Pass() { gate_.inside_.fetch_sub(1); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    ExitGate& gate_;
  };

  /// Close for good; return when nobody is inside.
  void close() noexcept {
    is_closed_.store(true);
    while (inside_.load() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  /// Take note, in a process that was forked from this one's maker, that the threads inside stayed behind.
  void forget_threads() noexcept { inside_.store(0); }

 private:
  std::atomic<int> inside_{0};
  std::atomic<bool> is_closed_{false};
};

}  // namespace murmur::python
