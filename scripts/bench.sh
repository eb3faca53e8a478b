#!/usr/bin/env bash
# Run the benchmarks: every benchmarks/bench_*.py in turn, or those named. Needs: scripts/setup.sh up.
set -euo pipefail
cd "$(dirname "$0")/.."
shopt -s nullglob
benchmarks=("$@")
[ ${#benchmarks[@]} -gt 0 ] || benchmarks=(benchmarks/bench_*.py)
[ ${#benchmarks[@]} -gt 0 ] || { echo "no benchmarks/bench_*.py found" >&2; exit 1; }
for benchmark in "${benchmarks[@]}"; do
  printf '== %s\n' "$benchmark"
  .venv/bin/python "$benchmark"
done
