#!/usr/bin/env bash
# Make sure the image's base is there. With a registry in reach this is a plain pull; without one (and as root) the same
# image is bootstrapped from a Debian mirror and imported under the registry's name, so that nothing else has to know.
#
# Environment: BASE_IMAGE     default debian:bookworm-slim
#              DEBIAN_MIRROR  default: debootstrap's own
set -euo pipefail
BASE_IMAGE=${BASE_IMAGE:-debian:bookworm-slim}
DEBIAN_MIRROR=${DEBIAN_MIRROR:-}

if docker image inspect "$BASE_IMAGE" >/dev/null 2>&1; then exit 0; fi
# Registries that drop packets instead of refusing would hold a build for minutes.
if timeout 90 docker pull -q "$BASE_IMAGE" 2>/dev/null; then exit 0; fi

case $BASE_IMAGE in
  debian:bookworm*) ;;
  *) echo "error: $BASE_IMAGE cannot be pulled, and only debian:bookworm can be bootstrapped" >&2; exit 1 ;;
esac
[ "$(id -u)" = 0 ] || { echo "error: $BASE_IMAGE cannot be pulled; run this as root to bootstrap it from a Debian mirror" >&2; exit 1; }
command -v debootstrap >/dev/null || {
  apt-get update -q || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
echo "bootstrapping $BASE_IMAGE from ${DEBIAN_MIRROR:-the default mirror}"
debootstrap --variant=minbase bookworm "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
mirror=$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")
# Security fixes of the base; the registry's image has them too.
cat >"$root/etc/apt/sources.list" <<SOURCES
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb ${mirror}-security bookworm-security main
SOURCES
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale,info}/*
tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$BASE_IMAGE"
