#!/usr/bin/env bash
# Run a command with a Docker engine, Compose and the image's base at hand:  scripts/with-docker.sh COMMAND...
#
# What is missing is made, as root; otherwise the exact command to type is printed. An engine that this script had to
# start is ended with it; one that was running already is left alone. The site's own settings for packages
# (SSL_CERT_FILE, pip's find-links) are carried over into the build, in docker/certs/ and docker/wheelhouse/.
set -euo pipefail
cd "$(dirname "$0")/.."
engine_pid=
engine_log=${TMPDIR:-/tmp}/murmuration-dockerd-$$.log

die() {
  printf 'error: %s\n' "$@" >&2
  exit 1
}

install_docker() {
  local packages="docker.io docker-compose iptables"
  [ "$(id -u)" = 0 ] || die "Docker is missing; type this, then try again:" \
    "  sudo apt-get update && sudo apt-get install -y $packages && sudo usermod -aG docker $(id -un) && newgrp docker"
  command -v apt-get >/dev/null || die "Docker is missing; install docker and docker-compose with this system's package manager"
  echo "installing $packages"
  apt-get update -q >/dev/null || true # one unreachable third-party list must not stop what Debian itself offers
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages >"$engine_log" 2>&1 ||
    { tail -n 20 "$engine_log" >&2; die "apt-get could not install $packages"; }
}

# Only when none answers: a second engine beside a running one deletes the first one's network bridge.
start_engine() {
  [ "$(id -u)" = 0 ] || die "no Docker engine answers; start it, or join its group:" \
    "  sudo systemctl start docker; sudo usermod -aG docker $(id -un) && newgrp docker"
  [ -z "$(pgrep -x dockerd)" ] || die "a Docker engine runs but does not answer: docker info"
  echo "starting a Docker engine for this command"
  setsid dockerd >"$engine_log" 2>&1 </dev/null &
  engine_pid=$!
  for _ in $(seq 120); do
    docker info >/dev/null 2>&1 && return
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.5
  done
  tail -n 20 "$engine_log" >&2
  die "the Docker engine did not start; its last words are above"
}

stop_engine() {
  [ -n "$engine_pid" ] || return 0
  kill -TERM "$engine_pid" 2>/dev/null || true
  for _ in $(seq 60); do
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.5
  done
  rm -f "$engine_log"
}

carry_site_settings() {
  if [ -s "${SSL_CERT_FILE:-}" ]; then
    cmp -s "$SSL_CERT_FILE" docker/certs/site-ca.crt || install -m 644 "$SSL_CERT_FILE" docker/certs/site-ca.crt
  fi
  local find_links=${PIP_FIND_LINKS:-}
  [ -n "$find_links" ] || find_links=$(python3 -m pip config get global.find-links 2>/dev/null || true)
  [ -z "$find_links" ] || scripts/wheelhouse.sh
}

[ $# -gt 0 ] || die "usage: scripts/with-docker.sh COMMAND..."
trap stop_engine EXIT
if ! command -v docker >/dev/null || ! scripts/compose.sh version >/dev/null 2>&1; then install_docker; fi
docker info >/dev/null 2>&1 || start_engine
carry_site_settings
scripts/docker-base.sh
rc=0
"$@" || rc=$?
exit "$rc"
