#pragma once

#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>

#include <pybind11/pybind11.h>

#include "released_gil.hpp"

namespace murmur::python {

/// An object that one Python thread may use at a time.
///
/// Calls release the GIL, so a second thread could enter the same object; it gets a RuntimeError instead of a
/// race.
template <class T>
class Exclusive {
 public:
  Exclusive(std::unique_ptr<T> object, const char* what) : object_(std::move(object)), what_(what) {}

  /// Call `fn(object)` with the GIL released. `fn` must not touch Python.
  template <class Fn>
  decltype(auto) run(Fn&& fn) {
    const std::unique_lock lock = acquire();
    const ReleasedGil released;
    return std::forward<Fn>(fn)(*object_);
  }

  /// Call `fn(object)` with the GIL held: for what is quick or builds Python objects.
  template <class Fn>
  decltype(auto) peek(Fn&& fn) {
    const std::unique_lock lock = acquire();
    return std::forward<Fn>(fn)(*object_);
  }

 private:
  std::unique_lock<std::mutex> acquire() {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {
      throw std::runtime_error(std::string(what_) + " is in use by another thread; give each thread its own");
    }
    return lock;
  }

  std::unique_ptr<T> object_;
  const char* what_;
  std::mutex mutex_;
};

}  // namespace murmur::python
