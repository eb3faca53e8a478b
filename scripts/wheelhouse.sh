#!/usr/bin/env bash
# Fill docker/wheelhouse/ with every Python package that the image needs, for sites where a build cannot reach the
# package indexes (or must not). Uses pip's own configuration; run it on a machine of the image's kind.
#
# Environment: PYTHON           a Python 3.11, the image's version (default: .venv/bin/python, else python3.11)
#              TORCH_SPEC       default: the pin of pyproject.toml with +cpu
#              TORCH_INDEX_URL  asked for torch when pip's own configuration does not know it
set -euo pipefail
cd "$(dirname "$0")/.."
house=docker/wheelhouse
TORCH_INDEX_URL=${TORCH_INDEX_URL:-https://download.pytorch.org/whl/cpu}

find_python() {
  local candidate
  for candidate in ${PYTHON:-.venv/bin/python python3.11 python3}; do
    if "$candidate" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: filling the wheelhouse needs the image's Python, 3.11 with pip; name it: PYTHON=... $0" >&2
  return 1
}

python=$(find_python)
pip=("$python" -m pip --disable-pip-version-check --quiet)
TORCH_SPEC=${TORCH_SPEC:-$("$python" scripts/requirements.py torch)+cpu}
list=$("$python" scripts/requirements.py build run)
stamp="$house/.filled-for"
key=$(printf '%s\n' "$TORCH_SPEC" "$list" | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then exit 0; fi

rm -f "$house"/*.whl "$house"/*.tar.gz "$stamp"
# setuptools and wheel: what pip needs to compile the one dependency that has no wheel (fastecdsa).
"${pip[@]}" download -d "$house" "$TORCH_SPEC" || "${pip[@]}" download -d "$house" --index-url "$TORCH_INDEX_URL" "$TORCH_SPEC"
printf '%s\n' "$list" setuptools wheel | "${pip[@]}" download -d "$house" --find-links "$house" -r /dev/stdin
printf '%s' "$key" >"$stamp"
du -sh "$house"
