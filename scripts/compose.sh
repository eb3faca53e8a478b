#!/usr/bin/env bash
# Run Docker Compose, whichever form of it this machine has: `docker compose` (v2) or `docker-compose` (1.29).
set -euo pipefail
if docker compose version >/dev/null 2>&1; then
  exec docker compose "$@"
elif command -v docker-compose >/dev/null; then
  exec docker-compose "$@"
fi
echo "error: neither 'docker compose' nor 'docker-compose' is installed; on Debian: apt-get install docker-compose" >&2
exit 1
