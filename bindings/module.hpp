#pragma once

#include <pybind11/pybind11.h>

namespace murmur::python {

void bind_envs(pybind11::module_& m);
void bind_foreign_envs(pybind11::module_& m);
void bind_agents(pybind11::module_& m);
void bind_codec(pybind11::module_& m);
void bind_aggregation(pybind11::module_& m);

/// Have the interpreter end with no thread computing in libtorch, and let none begin to after it. Once a
/// process.
void leave_libtorch_at_exit();

}  // namespace murmur::python
