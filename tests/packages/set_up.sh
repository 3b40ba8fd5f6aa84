#!/usr/bin/env bash
# Has what the tests of this folder need: root, a few packages of Debian, and in the folder $1 the root of a clean host.
set -euo pipefail
# shellcheck source=tests/support/set_up.sh
. "$(dirname "${BASH_SOURCE[0]}")/../support/set_up.sh"

as_root test-packages "boots a clean host in a container"
have test-packages "systemd-nspawn nsenter setpriv unshare mmdebstrap dpkg-deb objcopy lintian rpmlint rpm" \
  "systemd-container util-linux mmdebstrap binutils lintian rpmlint rpm"

# Nothing is in it but what boots, apt and, for the other family's packages, rpm; curl and openssl, which the page about
# the one file calls.
root=$1
make_root() {
  rm -rf "$root.new"
  mmdebstrap --quiet --variant=apt --include=systemd,systemd-sysv,dbus,rpm,curl,openssl bookworm "$root.new"
}
if [ ! -x "$root/usr/bin/curl" ]; then
  rm -rf "$root"
  echo "make: test-packages makes the root of a clean host, once: $root"
  mkdir -p "$(dirname "$root")"
  again make_root
  mv "$root.new" "$root"
fi
