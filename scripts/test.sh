#!/usr/bin/env bash
# Run every test that needs no Docker engine. Arguments go to pytest. Needs: scripts/setup.sh test.
# Both suites always run; the exit code says whether both passed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/steps.sh
export PATH="$PWD/.venv/bin:$PATH"
rc=0

# Subshells: a suite that does not build must not keep the others from running.
# The sanitizer build is without libtorch, which is not instrumented; the release build has it.
(test_preset asan "C++ tests: build with ASan and UBSan") || rc=1
(test_preset release "C++ tests: build with libtorch, warnings are errors") || rc=1
# One worker a core, hyperthreads too; `-n 0` among the arguments: none. How tests are dealt out: tests/conftest.py.
(set -x; .venv/bin/python -m pytest -n logical "$@") || rc=1
exit "$rc"
