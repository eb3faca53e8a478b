/// NumPy arrays at the border: what is not C-contiguous, aligned, of the right dtype and of the right shape
/// is refused.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace murmur::python {

namespace py = pybind11;
using Shape = std::vector<py::ssize_t>;

inline std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

/// View `array` as numbers of type T; it must outlive the view. Throws TypeError on another dtype (never
/// casts), ValueError on another shape, a strided or a misaligned array, all naming `name`.
template <class T>
[[nodiscard]] std::span<const T> view(const char* name, const py::array& array, const Shape& shape) {
  const py::dtype wanted = py::dtype::of<T>();
  if (!array.dtype().equal(wanted)) {
    throw py::type_error(std::string(name) + " must be " + py::str(wanted).cast<std::string>() + ", got " +
                         py::str(array.dtype()).cast<std::string>());
  }
  const Shape got(array.shape(), array.shape() + array.ndim());
  if (got != shape) {
    throw py::value_error(std::string(name) + " must have shape " + to_text(shape) + ", got " + to_text(got));
  }
  if ((array.flags() & py::array::c_style) == 0) {
    throw py::value_error(std::string(name) + " must be C-contiguous; use numpy.ascontiguousarray");
  }
  // By the address: NumPy calls some arrays aligned by what their dtype asks for elsewhere.
  if (array.size() > 0 && reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) {
    throw py::value_error(std::string(name) + " must be aligned to " + std::to_string(alignof(T)) +
                          " bytes; use numpy.require(..., requirements='A')");
  }
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size())};
}

/// A new array of zeros, and where to write it.
template <class T>
[[nodiscard]] py::array_t<T> zeros(const Shape& shape) {
  py::array_t<T> array(shape);
  std::fill_n(array.mutable_data(), array.size(), T{});
  return array;
}

template <class T>
[[nodiscard]] std::span<T> writable(py::array_t<T>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

/// Copy numbers into a new one-dimensional array.
template <class T>
[[nodiscard]] py::array_t<T> copy(std::span<const T> values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

}  // namespace murmur::python
