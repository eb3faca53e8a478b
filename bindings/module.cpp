// peer._core: the C++ core as Python sees it. No logic lives here: check shapes, release the GIL, call, wrap.
// std::invalid_argument becomes ValueError by pybind11's own rule.
#include "module.hpp"

#include "murmur/agents/non_finite.hpp"
#include "murmur/base/blob.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The C++ core of Murmuration: environments, PPO and aggregation. Import it through peer.native only.";
  pybind11::register_exception<murmur::NonFiniteError>(m, "NonFiniteError", PyExc_ArithmeticError)
      .attr("__doc__") =
      "Training met NaN or infinity; the message names the observation, reward, loss or gradient.";
  pybind11::register_exception<murmur::BlobError>(m, "BlobError", PyExc_ValueError).attr("__doc__") =
      "A checkpoint is damaged, cut short, or of another kind, version or shape.";
  murmur::python::bind_envs(m);
  murmur::python::bind_agents(m);
  murmur::python::bind_codec(m);
  murmur::python::bind_aggregation(m);
  murmur::python::leave_libtorch_at_exit();
}
