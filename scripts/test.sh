#!/usr/bin/env bash
# Run every test that needs no Docker engine. Arguments go to pytest. Needs: scripts/setup.sh test.
# Both suites always run; the exit code says whether both passed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/steps.sh
export PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(scripts/build-jobs.sh)}
rc=0

# cpp_tests PRESET TITLE: build and run the C++ tests of one preset of CMakePresets.json.
cpp_tests() {
  step "cpp-$1" "$2" build_preset "$1"
  (set -x; ctest --preset "$1")
}

build_preset() {
  cmake --preset "$1" -DPython_EXECUTABLE="$PWD/.venv/bin/python"
  cmake --build --preset "$1"
}

# Subshells: a suite that does not build must not keep the others from running.
# The sanitizer build is without libtorch, which is not instrumented; the release build has it.
(cpp_tests asan "C++ tests: build with ASan and UBSan") || rc=1
(cpp_tests release "C++ tests: build with libtorch, warnings are errors") || rc=1
(set -x; .venv/bin/python -m pytest -m "not docker and not gpu" "$@") || rc=1
exit "$rc"
