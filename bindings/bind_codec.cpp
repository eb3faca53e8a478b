// Codecs of deltas: float32[n] to bytes and back. A decoder writes into the caller's array and returns a
// verdict.
#include <pybind11/pybind11.h>

#include <span>
#include <vector>

#include "arrays.hpp"
#include "module.hpp"
#include "murmur/codec/codec.hpp"
#include "released_gil.hpp"

namespace murmur::python {

namespace {

using codec::Verdict;
using Encode = void (*)(std::span<const float>, std::span<std::byte>, InstructionSet) noexcept;
using Decode = Verdict (*)(std::span<const std::byte>, std::span<float>, InstructionSet) noexcept;

std::span<const float> values_of(const py::array& values) {
  return view<float>("values", values, {values.ndim() == 1 ? values.shape(0) : -1});
}

/// A view of a bytes-like object for as long as it lives: a mutable one cannot be resized meanwhile.
class BytesView {
 public:
  explicit BytesView(const py::object& data) {
    if (PyObject_GetBuffer(data.ptr(), &buffer_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  ~BytesView() { PyBuffer_Release(&buffer_); }
  BytesView(const BytesView&) = delete;
  BytesView& operator=(const BytesView&) = delete;

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(buffer_.buf), static_cast<std::size_t>(buffer_.len)};
  }

 private:
  Py_buffer buffer_{};
};

py::bytes encode(const py::array& values, std::size_t size, Encode fn) {
  const auto in = values_of(values);
  // Bytes that nobody has seen yet may be filled in place.
  auto out =
      py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(size)));
  if (!out) throw py::error_already_set();
  const std::span<std::byte> bytes(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(out.ptr())), size);
  const ReleasedGil released;
  fn(in, bytes, best_instruction_set());
  return out;
}

int decode(const py::object& data, py::array& values, Decode fn) {
  const BytesView in(data);
  const auto wanted = values_of(values);  // checks dtype, shape and layout
  if (!values.writeable()) throw py::value_error("values must be writeable");
  const std::span<float> out(static_cast<float*>(values.mutable_data()), wanted.size());
  const ReleasedGil released;
  return static_cast<int>(fn(in.bytes(), out, best_instruction_set()));
}

py::bytes encode_top_k(const py::array& values, std::size_t keep) {
  const auto in = values_of(values);
  std::vector<std::byte> out;
  {
    const ReleasedGil released;
    out = codec::encode_top_k(in, keep);
  }
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

}  // namespace

void bind_codec(py::module_& m) {
  m.def(
      "check_values",
      [](const py::array& values) {
        const auto in = values_of(values);
        const ReleasedGil released;
        return static_cast<int>(codec::check_values(in));
      },
      py::arg("values"), "Return the verdict on float32[n]: 0 if all are finite and within 2^15.");
  m.def(
      "encode_float16",
      [](const py::array& values) {
        return encode(values, codec::float16_bytes(static_cast<std::size_t>(values.size())),
                      codec::encode_float16);
      },
      py::arg("values"), "Return float32[n] as half precision times one power of two.");
  m.def(
      "decode_float16",
      [](const py::object& data, py::array values) { return decode(data, values, codec::decode_float16); },
      py::arg("data"), py::arg("values"),
      "Fill float32[n] from `encode_float16`'s bytes; return a verdict, 0 if valid.");
  m.def(
      "encode_int8",
      [](const py::array& values) {
        return encode(values, codec::int8_bytes(static_cast<std::size_t>(values.size())), codec::encode_int8);
      },
      py::arg("values"), "Return float32[n] as int8 in blocks with one scale each.");
  m.def(
      "decode_int8",
      [](const py::object& data, py::array values) { return decode(data, values, codec::decode_int8); },
      py::arg("data"), py::arg("values"),
      "Fill float32[n] from `encode_int8`'s bytes; return a verdict, 0 if valid.");
  m.def(
      "encode_int4",
      [](const py::array& values) {
        return encode(values, codec::int4_bytes(static_cast<std::size_t>(values.size())), codec::encode_int4);
      },
      py::arg("values"), "Return float32[n] as 4 bits each in blocks with one scale each.");
  m.def(
      "decode_int4",
      [](const py::object& data, py::array values) { return decode(data, values, codec::decode_int4); },
      py::arg("data"), py::arg("values"),
      "Fill float32[n] from `encode_int4`'s bytes; return a verdict, 0 if valid.");
  m.def("encode_top_k", &encode_top_k, py::arg("values"), py::arg("keep"),
        "Return the `keep` values of largest magnitude as positions and int8.");
  m.def(
      "decode_top_k",
      [](const py::object& data, py::array values) { return decode(data, values, codec::decode_top_k); },
      py::arg("data"), py::arg("values"),
      "Fill float32[n] from `encode_top_k`'s bytes; return a verdict, 0 if valid.");
}

}  // namespace murmur::python
