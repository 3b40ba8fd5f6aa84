#!/usr/bin/env bash
# Has in build/s3 the object storages of tests, pinned by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

folder=build/s3
key=$(cat requirements/s3.txt tests/s3/set_up.sh | cksum)
[ "$(cat "$folder/ready" 2>/dev/null)" = "$key $PWD" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
python=${PYTHON:-.venv/bin/python}
install_tools() {
  "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile --require-hashes --no-deps \
    --target "$folder/packages" -r requirements/s3.txt 2>&1 | { grep -v '^WARNING: Location ' || true; }
}
again install_tools
echo "$key $PWD" >"$folder/ready"
