#!/usr/bin/env bash
# Run the benchmarks one after the other: every program in benchmarks/, or those named. Needs: scripts/setup.sh up.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=("$@")
[ ${#programs[@]} -gt 0 ] || mapfile -t programs < <(grep -l '^if __name__ == "__main__"' benchmarks/*.py)
for program in "${programs[@]}"; do
  printf '\n== %s\n' "$program"
  .venv/bin/python "$program"
done
