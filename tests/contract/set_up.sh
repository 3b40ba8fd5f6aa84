#!/usr/bin/env bash
# Has in build/contract what tests of the API's contract use, pinned by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

folder=build/contract
key=$(cat requirements/contract.txt tests/contract/set_up.sh | cksum)
[ "$(cat "$folder/ready" 2>/dev/null)" = "$key $PWD" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
python=${PYTHON:-.venv/bin/python}
install_tools() {
  "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile --require-hashes --no-deps \
    --target "$folder/packages" -r requirements/contract.txt 2>&1 | { grep -v '^WARNING: Location ' || true; }
}
again install_tools
echo "$key $PWD" >"$folder/ready"
