#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: what those of systemd need, ssh with its server, and what
# the binary is built with. Nothing is started: the ssh server runs in the container only.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$(id -u)" != 0 ]; then
  echo "make: test-ansible boots systemd in a container, which takes root (REMOTE_TEST_ANSIBLE=off leaves it out)" >&2
  exit 1
fi
bash "$here/../systemd/set_up.sh"
lacking=
for program in ssh ssh-keygen /usr/sbin/sshd objcopy; do
  command -v "$program" >/dev/null || lacking="$lacking $program"
done
[ -z "$lacking" ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "make: test-ansible needs$lacking; install them, or leave it out with REMOTE_TEST_ANSIBLE=off" >&2
  exit 1
fi
echo "make: test-ansible needs$lacking; installing"
export DEBIAN_FRONTEND=noninteractive
packages="openssh-client openssh-server binutils"
# Of this machine the package would start a server at all its addresses (invoke-rc.d(8)).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
# shellcheck disable=SC2086
apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages >/dev/null; }
