#!/usr/bin/env bash
# Run every test that needs no Docker engine. Arguments go to pytest. Needs: scripts/setup.sh test.
# Both suites always run; the exit code says whether both passed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/steps.sh
export PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(build_jobs)}
rc=0

# configure_and_build PRESET [OPTION...]
configure_and_build() {
  cmake --preset "$@" -DPython_EXECUTABLE="$PWD/.venv/bin/python"
  cmake --build "build/$1"
}

# The sanitizer build leaves libtorch out, which is not built with them.
step ctest-build-asan "C++ tests: build with ASan and UBSan" configure_and_build asan
(set -x; ctest --preset asan --output-on-failure) || rc=1
(set -x; .venv/bin/python -m pytest -m "not docker and not gpu" "$@") || rc=1
exit "$rc"
