#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: root, and a few packages of Debian or Ubuntu.
set -euo pipefail

if [ "$(id -u)" != 0 ]; then
  echo "make: test-systemd boots systemd in a container, which takes root (REMOTE_TEST_SYSTEMD=off leaves it out)" >&2
  exit 1
fi
lacking=
for program in systemd-nspawn dbus-daemon systemctl nsenter setpriv unshare useradd; do
  command -v "$program" >/dev/null || lacking="$lacking $program"
done
/usr/bin/python3 -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || lacking="$lacking python3"
[ -z "$lacking" ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "make: test-systemd needs$lacking; install them, or leave it out with REMOTE_TEST_SYSTEMD=off" >&2
  exit 1
fi
echo "make: test-systemd needs$lacking; installing"
export DEBIAN_FRONTEND=noninteractive
packages="systemd systemd-container dbus passwd util-linux python3 python3-venv"
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages >/dev/null; }
