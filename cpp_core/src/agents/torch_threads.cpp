#include "torch_threads.hpp"

#include <ATen/Parallel.h>

#include <mutex>
#include <system_error>
#include <thread>

namespace murmur {
namespace {

/// Call `body` in a thread that has not asked anything of libtorch yet.
template <class Body>
void in_new_thread(const Body& body) {
  std::thread(body).join();
}

}  // namespace

// at::set_num_threads changes two things: the calling thread's number, and the one with which threads begin.
// Only a thread that begins can tell the second; and only another one can put it back without changing ours.
int set_torch_threads(int count) noexcept {
  const int before = at::get_num_threads();
  if (before == count) return before;
  static std::mutex changing;
  const std::lock_guard lock(changing);
  try {
    int of_new_threads = count;
    in_new_thread([&] { of_new_threads = at::get_num_threads(); });
    at::set_num_threads(count);
    if (of_new_threads != count) in_new_thread([&] { at::set_num_threads(of_new_threads); });
  } catch (const std::system_error&) {
    at::set_num_threads(count);
  }
  return before;
}

}  // namespace murmur
