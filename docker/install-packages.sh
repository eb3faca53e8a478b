#!/bin/sh
# Install Debian packages; ask no mirror when all of them are there already (a base image made for a closed site).
set -eu
if dpkg-query -W -f '${db:Status-Status}\n' "$@" 2>/dev/null | grep -qvx installed ||
  ! dpkg-query -W "$@" >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update
  apt-get install -y --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
fi
