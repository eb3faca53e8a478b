#pragma once

#include <pybind11/pybind11.h>

#include <unistd.h>

namespace murmur::python {

/// The GIL, held for as long as it lives, by a thread that had released it.
///
/// Before Python 3.14, a daemon thread that asks for the GIL when the interpreter has ended is unwound to its
/// end. It stays here instead: see ReleasedGil.
class HeldGil {
 public:
  HeldGil() : state_(ensure()) {}
  ~HeldGil() { PyGILState_Release(state_); }
  HeldGil(const HeldGil&) = delete;
  HeldGil& operator=(const HeldGil&) = delete;

 private:
  static PyGILState_STATE ensure() {
    try {
      return PyGILState_Ensure();
    } catch (...) {  // no exception: the unwinding of pthread_exit, which nothing here could be done after
      for (;;) ::pause();
    }
  }

  PyGILState_STATE state_;
};

/// Call `function(*args)`, with the GIL held. Throws pybind11::error_already_set.
///
/// A daemon thread that loses the GIL for good inside the call stays in it, likewise: what is destroyed on
/// the way out would touch Python.
inline pybind11::object call(const pybind11::object& function, const pybind11::tuple& args) {
  PyObject* result = nullptr;
  try {
    result = PyObject_Call(function.ptr(), args.ptr(), nullptr);
  } catch (...) {
    for (;;) ::pause();
  }
  if (result == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(result);
}

}  // namespace murmur::python
