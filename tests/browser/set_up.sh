#!/usr/bin/env bash
# Has in build/browser what drives a browser and judges pages, all pinned by hash; the browser is Debian's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

if [ "$(lacking chromium node npm)" ]; then
  as_root test-browser "installs a browser"
  have test-browser "chromium" "chromium"
  have test-browser "node npm" "nodejs npm"
fi

folder=build/browser
key=$(cat requirements/browser.txt requirements/bring_assets.py tests/browser/packages.txt tests/browser/set_up.sh | cksum)
[ "$(cat "$folder/ready" 2>/dev/null)" = "$key $PWD" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
python=${PYTHON:-.venv/bin/python}
install_driver() {
  "$python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile --require-hashes --no-deps \
    --target "$folder/packages" -r requirements/browser.txt 2>&1 | { grep -v '^WARNING: Location ' || true; }
}
again install_driver
again "$python" requirements/bring_assets.py tests/browser/packages.txt "$folder"
echo "$key $PWD" >"$folder/ready"
