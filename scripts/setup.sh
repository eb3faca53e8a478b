#!/usr/bin/env bash
# Set up everything on a fresh Debian 12 or Ubuntu machine, and do nothing where it is done already.
#
#   scripts/setup.sh up     what a peer needs: system packages, .venv, libtorch, pinned dependencies, the C++ core
#   scripts/setup.sh lint   what the linters need: as above without the core, with the development tools
#   scripts/setup.sh chaos  what the linters need, and what sets the clock of a container
#   scripts/setup.sh test   both of the first two, GoogleTest and Google Benchmark
#
# Environment: PYTHON      the interpreter for .venv (default: the first of python3, python3.11, ... that is new enough)
#              TORCH_SPEC  which libtorch (default: the pin of pyproject.toml; CUDA where nvidia-smi lists a GPU, else CPU)
#              TORCH_INDEX_URL  where CPU builds of torch come from when pip's own configuration knows none
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/steps.sh

mode=${1:-up}
TORCH_INDEX_URL=${TORCH_INDEX_URL:-https://download.pytorch.org/whl/cpu}
PYTHON_CHOICES="python3 python3.13 python3.12 python3.11"
core_sources=(CMakeLists.txt CMakePresets.json pyproject.toml cpp_core bindings)
pip=(.venv/bin/python -m pip --disable-pip-version-check --quiet)

main() {
  case $mode in up | lint | chaos | test) ;; *) fail "usage: scripts/setup.sh {up|lint|chaos|test}, got '$mode'" ;; esac
  system_packages
  python_environment
  if needs_core; then libtorch; fi
  requirements
  if needs_core; then core; fi
}

needs_core() {
  [ "$mode" = up ] || [ "$mode" = test ]
}

# --- system packages -------------------------------------------------------------------------------------------

# missing_packages: the Debian packages to install. What is there is found by looking for the thing itself, so that a
# compiler or Python from elsewhere counts too.
missing_packages() {
  local python
  python=$(find_python) || true
  [ -n "$python" ] || echo python3 python3-dev
  [ -n "$python" ] && "$python" -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
  [ -z "$python" ] || [ -f "$(python_header "$python")" ] || echo python3-dev
  command -v g++ >/dev/null || echo g++
  # fastecdsa, which libp2p needs, has no wheel and compiles against GMP.
  has_header gmp.h || echo libgmp-dev
  # The core's vector kernels need only the headers of Google Highway.
  has_header hwy/highway.h || echo libhwy-dev
  [ "$mode" != chaos ] || compgen -G "/usr/lib/*/faketime/libfaketime.so.1" >/dev/null || echo libfaketime
  # The test of peers behind NATs makes network namespaces.
  [ "$mode" != test ] || command -v ip >/dev/null || echo iproute2
  [ "$mode" != test ] || command -v iptables >/dev/null || echo iptables
  [ "$mode" != test ] || has_header gtest/gtest.h || echo libgtest-dev
  [ "$mode" != test ] || has_header benchmark/benchmark.h || echo libbenchmark-dev
}

python_header() {
  "$1" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")'
}

system_packages() {
  debian_packages $(missing_packages | tr ' \n' '\n\n' | sort -u)
}

# --- Python ----------------------------------------------------------------------------------------------------

# find_python: print the first interpreter that is new enough.
find_python() {
  local candidate
  for candidate in ${PYTHON:-$PYTHON_CHOICES}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

python_environment() {
  local python
  # A venv whose interpreter has been upgraded away or moved is made anew.
  if .venv/bin/python -m pip --version >/dev/null 2>&1; then
    step venv "Python environment .venv" true
    return
  fi
  python=$(find_python) || fail "Python 3.11 or newer is needed, and none of these is it: ${PYTHON:-$PYTHON_CHOICES}" \
    "install one, or name it: make ... PYTHON=/path/to/python3.11"
  step venv "Python environment .venv" "$python" -m venv --clear .venv
}

# --- libtorch --------------------------------------------------------------------------------------------------

libtorch() {
  local pin spec
  pin=$(.venv/bin/python scripts/requirements.py torch)
  if [ -n "${TORCH_SPEC:-}" ]; then
    spec=$TORCH_SPEC
  elif nvidia-smi -L >/dev/null 2>&1; then
    spec="$pin,!=${pin#torch==}+cpu" # a CPU build, where one is on offer, would outrank the CUDA build
  else
    spec="$pin+cpu"
  fi
  stamped_step torch "$spec" "libtorch ($spec)" install_torch "$spec"
}

# The usual index holds no CPU build; a site may have one in its pip configuration, which is therefore asked first.
install_torch() {
  "${pip[@]}" install "$1" || "${pip[@]}" install --index-url "$TORCH_INDEX_URL" "$1"
}

# --- pinned dependencies and the core --------------------------------------------------------------------------

requirements() {
  local groups=(build run) list
  [ "$mode" = up ] || groups+=(dev)
  mkdir -p build
  list=build/requirements-$mode.txt
  .venv/bin/python scripts/requirements.py "${groups[@]}" >"$list"
  stamped_step "requirements-${groups[*]: -1}" "$(hash_of "$list")" "pinned dependencies" "${pip[@]}" install -r "$list"
}

core() {
  # The compilers see the venv first: its cmake and ninja are the pinned ones.
  export PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(scripts/build-jobs.sh)}
  stamped_step core "$(hash_of "${core_sources[@]}") $(cat "$STAMP_DIR/torch") $PWD" "C++ core (some minutes when it changed)" \
    "${pip[@]}" install --no-build-isolation --no-deps -e .
}

main
