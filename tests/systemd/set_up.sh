#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: root, and a few packages of Debian or Ubuntu.
set -euo pipefail
# shellcheck source=tests/support/set_up.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/set_up.sh"

stage=${1:-test-systemd}
as_root "$stage" "boots systemd in a container"
have "$stage" "systemd-nspawn dbus-daemon systemctl nsenter setpriv unshare useradd openssl /usr/bin/python3" \
  "systemd systemd-container dbus passwd util-linux openssl python3 python3-venv"
if ! /usr/bin/python3 -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
  echo "make: $stage needs Python 3.11 to 3.13 as /usr/bin/python3 ($(leave_out "$stage"))" >&2
  exit 1
fi
