// peer._core: the C++ core as Python sees it. No logic lives here: check shapes, release the GIL, call, wrap.
// std::invalid_argument becomes ValueError by pybind11's own rule.
#include "module.hpp"

#include <cstddef>

#include "murmur/agents/non_finite.hpp"
#include "murmur/base/blob.hpp"

namespace {

namespace py = pybind11;

/// Have whatever takes an object of a class of `m` refuse one that only __new__ has made, by TypeError:
/// pybind11 would pass on memory that nothing has been written to.
void require_initialized_objects(const py::module_& m) {
  for (const auto& [name, value] : m.attr("__dict__").cast<py::dict>()) {
    if (!py::isinstance<py::type>(value)) continue;
    py::detail::type_info* const info =
        py::detail::get_type_info(reinterpret_cast<PyTypeObject*>(value.ptr()));
    if (info == nullptr) continue;  // an exception
    // Where there is no object yet, pybind11 calls this to have one; it has no other use.
    info->operator_new = [](std::size_t /*size*/) -> void* {
      throw py::type_error("__init__ of an object of the core has not been called");
    };
  }
}

}  // namespace

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The C++ core of Murmuration: environments, PPO and aggregation. Import it through peer.native only.";
  pybind11::register_exception<murmur::NonFiniteError>(m, "NonFiniteError", PyExc_ArithmeticError)
      .attr("__doc__") =
      "Training met NaN or infinity; the message names the observation, reward, loss or gradient.";
  pybind11::register_exception<murmur::BlobError>(m, "BlobError", PyExc_ValueError).attr("__doc__") =
      "A checkpoint is damaged, cut short, or of another kind, version or shape.";
  murmur::python::bind_envs(m);
  murmur::python::bind_foreign_envs(m);
  murmur::python::bind_agents(m);
  murmur::python::bind_codec(m);
  murmur::python::bind_aggregation(m);
  require_initialized_objects(m);
  murmur::python::leave_libtorch_at_exit();
}
