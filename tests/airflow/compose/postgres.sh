#!/usr/bin/env bash
# A PostgreSQL with the user and the database that the variables of the official image name.
set -euo pipefail
mkdir -p "$PGDATA" /var/run/postgresql
chown -R postgres "$PGDATA" /var/run/postgresql
as() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  as initdb -U "$POSTGRES_USER" --encoding UTF8 --locale C --auth trust >/dev/null
  echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
  as pg_ctl -w start -o '-c listen_addresses=' >/dev/null
  as createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
  as pg_ctl -w stop >/dev/null
fi
exec setpriv --reuid postgres --regid postgres --clear-groups postgres -c 'listen_addresses=*'
