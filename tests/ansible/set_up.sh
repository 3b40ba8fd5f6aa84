#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: what those of systemd need, ssh with its server, and what
# the binary is built with. Nothing is started: the ssh server runs in the container only.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=tests/support/set_up.sh
. "$here/../support/set_up.sh"

bash "$here/../systemd/set_up.sh" test-ansible
have test-ansible "ssh ssh-keygen /usr/sbin/sshd objcopy" "openssh-client openssh-server binutils"
