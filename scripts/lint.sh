#!/usr/bin/env bash
# Check the sources as CI does, or with --fix rewrite what can be rewritten. Every check runs, even after one failed.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
rc=0

check() {
  printf '+ %s\n' "$(printf "%s " "${@:1:6}")"
  "$@" || rc=1
}

mapfile -d '' -t cpp_files < <(find cpp_core bindings tests/cpp benchmarks/cpp -type f \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 2>/dev/null)

if [ "${1:-}" = --fix ]; then
  check $bin/ruff check --fix .
  check $bin/ruff format .
  [ ${#cpp_files[@]} = 0 ] || check $bin/clang-format -i "${cpp_files[@]}"
  exit $rc
fi
check $bin/ruff check .
check $bin/ruff format --check .
check $bin/mypy
check $bin/lint-imports
check $bin/python -m pytest -q tests/unit/pages # whoever renames a test or a key is told before the change lands
[ ${#cpp_files[@]} = 0 ] || check $bin/clang-format --dry-run -Werror "${cpp_files[@]}"
exit $rc
