# Find the interpreter whose torch wheel we link. scikit-build-core passes it; a plain `cmake --preset` takes the
# checkout's virtual environment if there is one.

if(NOT DEFINED Python_EXECUTABLE AND NOT SKBUILD AND EXISTS "${PROJECT_SOURCE_DIR}/.venv/bin/python")
  set(Python_EXECUTABLE "${PROJECT_SOURCE_DIR}/.venv/bin/python")
endif()
if(MURMUR_BUILD_PYTHON)
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module)
else()
  find_package(Python 3.11 REQUIRED COMPONENTS Interpreter)
endif()

# Set `out` to the directory of an installed Python package, without importing it.
function(murmur_find_python_package out package)
  execute_process(
    COMMAND "${Python_EXECUTABLE}" -c
            "import importlib.util as u; s = u.find_spec('${package}'); print(s.submodule_search_locations[0])"
    OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status ERROR_QUIET)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${Python_EXECUTABLE} has no package '${package}': install the versions that "
                        "pyproject.toml pins (pip install ${package}), or pass -DPython_EXECUTABLE=...")
  endif()
  set(${out} "${directory}" PARENT_SCOPE)
endfunction()
