#!/usr/bin/env bash
# Has in build/airflow the environment that tests of the provider run in: Airflow, pinned by hash, and the provider.
# With a word, such as edge3: in build/edge3, from requirements/edge3.txt.
# AIRFLOW=3.1.8: in build/airflow-3.1.8, that version of Airflow with the newest of what fits to it, not pinned.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

name=${1:-airflow}
folder=build/$name
packages=(--require-hashes --no-deps -r "requirements/$name.txt")
if [ "$name" = airflow ] && [ -n "${AIRFLOW:-}" ]; then
  folder=build/airflow-$AIRFLOW
  mapfile -t packages < <(sed -e '/^#/d' -e "s/^apache-airflow-core.*/apache-airflow-core==$AIRFLOW/" requirements/airflow.in)
  # Newer ones do not run Airflow 3.2, which asks for no older ones; its users have its constraints.
  packages+=("fastapi<0.137" "pydantic<2.13")
fi
key=$(cat "requirements/$name.txt" tests/airflow/set_up.sh airflow_provider/pyproject.toml | cksum)
[ "$(cat "$folder/ready" 2>/dev/null)" = "$key $PWD" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
"${PYTHON:-.venv/bin/python}" -m venv --without-pip "$folder/venv"
install_airflow() {
  "${PYTHON:-.venv/bin/python}" -m pip --python "$folder/venv/bin/python" install --quiet --disable-pip-version-check \
    --no-input "${packages[@]}" 2>&1 | { grep -v '^WARNING: Location ' || true; }
}
again install_airflow
# The provider as it is in this checkout: its folder in the path, and the entry points that Airflow finds it by.
"$folder/venv/bin/python" tests/airflow/place.py
echo "$key $PWD" >"$folder/ready"
