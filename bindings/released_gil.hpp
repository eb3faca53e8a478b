#pragma once

#include <pybind11/pybind11.h>

#include <unistd.h>

namespace murmur::python {

/// The GIL, released for as long as it lives.
///
/// A daemon thread that is in here when the interpreter ends stays here: before Python 3.14, who then asks
/// for the GIL is unwound to its end, and with pybind11's own guard, whose destructor must not throw, that
/// ended the process by std::terminate.
class ReleasedGil {
 public:
  ReleasedGil() : thread_(PyEval_SaveThread()) {}
  ~ReleasedGil() {
    try {
      PyEval_RestoreThread(thread_);
    } catch (...) {  // no exception: the unwinding of pthread_exit, which nothing here could be done after
      for (;;) ::pause();
    }
  }
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

 private:
  PyThreadState* thread_;
};

}  // namespace murmur::python
