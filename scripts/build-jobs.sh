#!/bin/sh
# Print how many compilers to run at once: one a core, but no more than memory allows, since a file that includes
# libtorch's headers takes about 2 GB. At least one.
set -eu
cores=$(nproc)
by_memory=$(awk '/^MemAvailable:/ { print int($2 / 2000000) }' /proc/meminfo 2>/dev/null || true)
jobs=$cores
[ -z "$by_memory" ] || [ "$by_memory" -ge "$jobs" ] || jobs=$by_memory
[ "$jobs" -ge 1 ] || jobs=1
echo "$jobs"
