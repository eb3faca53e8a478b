# Sourced by the other scripts: numbered steps with their seconds, and stamps that let a second run skip them.
# A step's output goes to build/logs/<name>.log and is shown only when the step fails.

LOG_DIR=build/logs
STAMP_DIR=.venv/.stamps
step_number=0

# fail MESSAGE...: say what is wrong and what to do, and stop.
fail() {
  printf 'error: %s\n' "$@" >&2
  exit 1
}

# step NAME TITLE COMMAND...: run a command as the next numbered step; stop the script when it fails.
step() {
  local name=$1 title=$2 start=$SECONDS rc=0
  shift 2
  step_number=$((step_number + 1))
  mkdir -p "$LOG_DIR"
  printf '[%d] %-46s ' "$step_number" "$title"
  # Not `( ... ) || rc=$?`: bash ignores set -e inside whatever stands before `||`.
  set +e
  (set -e; "$@") >"$LOG_DIR/$name.log" 2>&1 </dev/null
  rc=$?
  set -e
  if [ "$rc" != 0 ]; then
    printf 'FAILED after %d s\n' "$((SECONDS - start))"
    tail -n 40 "$LOG_DIR/$name.log" >&2
    fail "'$title' failed (exit $rc); everything it said is in $LOG_DIR/$name.log"
  fi
  printf '%4d s\n' "$((SECONDS - start))"
}

# stamped_step NAME KEY TITLE COMMAND...: a step that is skipped while KEY is what it was when it last succeeded.
stamped_step() {
  local name=$1 key=$2 title=$3
  shift 3
  if [ "$(cat "$STAMP_DIR/$name" 2>/dev/null)" = "$key" ]; then
    step_number=$((step_number + 1))
    printf '[%d] %-46s   up to date\n' "$step_number" "$title"
    return
  fi
  step "$name" "$title" "$@"
  mkdir -p "$STAMP_DIR"
  printf '%s' "$key" >"$STAMP_DIR/$name"
}

# hash_of PATH...: one digest over the names and contents of these files and folders (editor leftovers excepted).
hash_of() {
  find "$@" -type f ! -name '*.pyc' ! -name '*.swp' ! -name '*~' -print0 2>/dev/null | LC_ALL=C sort -z |
    xargs -0 -r sha256sum | sha256sum | cut -d' ' -f1
}

# debian_packages PACKAGE...: a step that installs them, or stops and says what to type; none is fine.
debian_packages() {
  [ $# -gt 0 ] || { step system "system packages" true; return 0; }
  command -v apt-get >/dev/null || fail "these are missing, by their Debian names: $*" "install them with this system's package manager"
  [ "$(id -u)" = 0 ] || fail "system packages are missing; type this, then try again:" \
    "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
  step system "system packages: $*" install_debian_packages "$@"
}

# has_header HEADER: whether the C++ compiler of this machine finds it.
has_header() {
  command -v g++ >/dev/null && printf '#include <%s>\n' "$1" | g++ -x c++ -E - >/dev/null 2>&1
}

install_debian_packages() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q || true # one unreachable third-party list must not stop what Debian itself offers
  apt-get install -y -q --no-install-recommends "$@"
}

# build_preset PRESET: configure and build one preset of CMakePresets.json with the tools of .venv.
build_preset() {
  export PATH="$PWD/.venv/bin:$PATH" CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(scripts/build-jobs.sh)}
  cmake --preset "$1" -DPython_EXECUTABLE="$PWD/.venv/bin/python"
  cmake --build --preset "$1"
}

# test_preset PRESET TITLE [ARGUMENT...]: build it and run its tests; arguments go to ctest.
test_preset() {
  local preset=$1 title=$2
  shift 2
  step "cpp-$preset" "$title" build_preset "$preset"
  (set -x; .venv/bin/ctest --preset "$preset" --parallel "$(nproc)" "$@")
}
