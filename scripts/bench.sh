#!/usr/bin/env bash
# Run the benchmarks one after the other: those named, or every program in benchmarks/ that needs nothing more than
# scripts/setup.sh up: versus.py and solve.py install their rivals (gigabytes), docker_swarm.py wants an engine and the image, soak.py hours.
set -euo pipefail
cd "$(dirname "$0")/.."
programs=("$@")
if [ ${#programs[@]} = 0 ]; then
  mapfile -t programs < <(grep -l '^if __name__ == "__main__"' benchmarks/*.py | grep -v -e versus.py -e solve.py -e docker_swarm.py -e soak.py)
fi
for program in "${programs[@]}"; do
  printf '\n== %s\n' "$program"
  .venv/bin/python "$program"
done
