#!/usr/bin/env bash
# Has what the tests of this folder need: root, a few packages of Debian, and in the folder $1 the root of a clean host.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
  echo "make: test-packages boots a clean host in a container, which takes root (REMOTE_TEST_PACKAGES=off leaves it out)" >&2
  exit 1
fi
lacking=
for program in systemd-nspawn nsenter setpriv unshare mmdebstrap dpkg-deb; do
  command -v "$program" >/dev/null || lacking="$lacking $program"
done
if [ -n "$lacking" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "make: test-packages needs$lacking; install them, or leave it out with REMOTE_TEST_PACKAGES=off" >&2
    exit 1
  fi
  echo "make: test-packages needs$lacking; installing"
  export DEBIAN_FRONTEND=noninteractive
  packages="systemd-container util-linux mmdebstrap"
  # shellcheck disable=SC2086
  apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages >/dev/null; }
fi

# Nothing is in it but what boots, apt and, for the other family's packages, rpm.
root=$1
if [ ! -d "$root" ]; then
  echo "make: test-packages makes the root of a clean host, once: $root"
  mkdir -p "$(dirname "$root")"
  rm -rf "$root.new"
  mmdebstrap --quiet --variant=apt --include=systemd,systemd-sysv,dbus,rpm bookworm "$root.new"
  mv "$root.new" "$root"
fi
