#!/usr/bin/env bash
# What the Compose file asks of the image's entry point: a database, a user, and words for `airflow`.
set -euo pipefail
if [ "${_AIRFLOW_DB_MIGRATE:-}" = true ]; then
  airflow db migrate
fi
if [ "${_AIRFLOW_WWW_USER_CREATE:-}" = true ]; then
  airflow users create --username "$_AIRFLOW_WWW_USER_USERNAME" --password "$_AIRFLOW_WWW_USER_PASSWORD" \
    --firstname A --lastname U --email airflow@example.com --role Admin
fi
case ${1:-} in
airflow | bash | python) exec "$@" ;;
*) exec airflow "$@" ;;
esac
