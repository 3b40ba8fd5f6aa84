#!/usr/bin/env bash
# Has what run.py needs: a container engine that does not run, and, in build/airflow-compose, what images of PostgreSQL,
# Redis and Airflow are made from, for none can be pulled. The newest packages of Debian and Airflow, not pinned.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
# shellcheck source=tests/support/set_up.sh
. tests/support/set_up.sh

bash tests/containers/set_up.sh
folder=build/airflow-compose
version=3.3.2
mkdir -p "$folder"
base_image test-airflow-compose "$folder/base.tar" python3,python3-venv,ca-certificates,curl,postgresql,redis-server,procps
# The base image has Debian 12's Python, 3.11.2: redis wants async-timeout before 3.11.3, which pip does not see here.
# Airflow's Celery provider does not start with Celery 5.7.
download_wheels() {
  rm -rf "$folder/wheels.new"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-input --only-binary :all: \
    --python-version 3.11 --dest "$folder/wheels.new" "apache-airflow-core==$version" asyncpg psycopg2-binary "psycopg[binary]" \
    apache-airflow-providers-standard apache-airflow-providers-fab apache-airflow-providers-celery "celery[redis]<5.7" async-timeout 2>&1 |
    { grep -v '^WARNING: Location ' || true; }
}
if [ ! -e "$folder/wheels" ]; then
  echo "make: test-airflow-compose brings Airflow $version"
  again download_wheels
  mv "$folder/wheels.new" "$folder/wheels"
fi
rm -f dist/remote_airflow-*.whl
provider() { .venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./airflow_provider; }
again provider
