#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "module.hpp"
#include "murmur/envs/registry.hpp"
#include "python_vector_env.hpp"

namespace murmur::python {
namespace {

/// name, default value, lowest and highest allowed value, meaning.
using Param = std::tuple<std::string, double, double, double, std::string>;

const EnvSpec& register_python_env(const std::string& name, std::size_t obs_dim, std::size_t num_actions,
                                   const std::vector<float>& action_low,
                                   const std::vector<float>& action_high, std::size_t max_episode_steps,
                                   const std::vector<Param>& params, py::object batch_type) {
  std::vector<ParamSpec> specs;
  for (const auto& [param, value, low, high, meaning] : params)
    specs.push_back({param, value, low, high, meaning});
  const bool discrete = num_actions > 0;
  const EnvSpec spec{
      .name = name,
      .obs_dim = obs_dim,
      .state_dim = 0,
      .action_kind = discrete ? ActionKind::kDiscrete : ActionKind::kContinuous,
      .action_dim = discrete ? 1 : action_low.size(),
      .num_actions = num_actions,
      .action_low = action_low,
      .action_high = action_high,
      .max_episode_steps = max_episode_steps,
      .params = specs,
  };
  // A bare pointer, since copies of the maker are made and dropped by threads that do not hold the GIL. The
  // registry keeps it until the process ends.
  const py::handle kept = batch_type;
  const EnvSpec& registered = register_env(
      spec,
      [kept](const EnvSpec& own, std::size_t num_envs, std::uint64_t seed) -> std::unique_ptr<VectorEnv> {
        return std::make_unique<PythonVectorEnv>(own, kept, num_envs, seed);
      });
  static_cast<void>(batch_type.release());
  return registered;
}

}  // namespace

void bind_foreign_envs(py::module_& m) {
  m.attr("MAX_PYTHON_ENVS") = PythonVectorEnv::kMaxPythonEnvs;
  m.def("register_python_env", &register_python_env, py::kw_only(), py::arg("name"), py::arg("obs_dim"),
        py::arg("num_actions"), py::arg("action_low"), py::arg("action_high"), py::arg("max_episode_steps"),
        py::arg("params"), py::arg("batch_type"), py::return_value_policy::reference,
        "Add an environment that runs in Python, until the process ends; num_actions is 0 where actions are "
        "continuous. params are (name, default, low, high, meaning). batch_type makes a batch of them from "
        "arrays: see peer/python_envs/batch.py. Return its spec. Raises ValueError when there is one of that "
        "name.");
}

}  // namespace murmur::python
