#!/usr/bin/env bash
# Has what the tests of this folder need on this machine: root, a container engine that does not run, and, in
# build/containers, a base image and wheels: the tests themselves have no network but their own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "$(id -u)" != 0 ]; then
  echo "make: test-containers runs a container engine of its own, which takes root" >&2
  exit 1
fi
lacking=
for program in /usr/bin/docker dockerd iptables docker-compose mmdebstrap unshare; do
  command -v "$program" >/dev/null || lacking="$lacking ${program##*/}"
done
if [ -n "$lacking" ]; then
  if ! command -v apt-get >/dev/null; then
    echo "make: test-containers needs$lacking; install them" >&2
    exit 1
  fi
  echo "make: test-containers needs$lacking; installing"
  export DEBIAN_FRONTEND=noninteractive
  # Nothing is started here: the tests have an engine of their own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  packages="docker.io iptables docker-compose mmdebstrap util-linux"
  # shellcheck disable=SC2086
  apt-get install -qq -y --no-install-recommends $packages >/dev/null ||
    { apt-get update -qq && apt-get install -qq -y --no-install-recommends $packages >/dev/null; }
fi

mkdir -p build/containers
base=build/containers/base.tar
if [ ! -e "$base" ]; then
  echo "make: test-containers makes a base image"
  sources=()
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -s "$file" ] && { sources=("$file"); break; }
  done
  mmdebstrap --quiet --variant=essential --include=python3,python3-venv,ca-certificates bookworm "$base.new.tar" \
    "${sources[@]}"
  mv "$base.new.tar" "$base"
fi
# The base image has Debian 12's Python.
.venv/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
  --python-version 3.11 --dest build/containers/wheels -r requirements/server.txt 2>&1 |
  { grep -v '^WARNING: Location ' || true; }
