#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: root, a container engine that does not run, and, in
# build/containers, a base image and wheels: the tests themselves have no network but their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

as_root test-containers "runs a container engine of its own"
have test-containers "/usr/bin/docker dockerd containerd iptables ip docker-compose mmdebstrap unshare objcopy" \
  "docker.io iptables iproute2 docker-compose mmdebstrap util-linux binutils"

folder=build/containers
mkdir -p "$folder"
base_image test-containers "$folder/base.tar" python3,python3-venv,ca-certificates

# The base image has Debian 12's Python.
download_wheels() {
  rm -rf "$folder/wheels.new"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input --require-hashes \
    --only-binary :all: --python-version 3.11 --dest "$folder/wheels.new" -r requirements/server.txt 2>&1 |
    { grep -v '^WARNING: Location ' || true; }
}
if ! cmp -s requirements/server.txt "$folder/wheels/locked"; then
  again download_wheels
  cp requirements/server.txt "$folder/wheels.new/locked"
  rm -rf "$folder/wheels"
  mv "$folder/wheels.new" "$folder/wheels"
fi
