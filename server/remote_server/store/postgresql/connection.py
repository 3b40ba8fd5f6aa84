"""Connections to PostgreSQL, the right to write, and what the errors mean. Touches the network.

**One writer.** The connection that writes holds a session advisory lock, so that losing it is
losing the right: PostgreSQL gives the lock to the next one only when the session is over, and a
session that is over writes no more. A stand-by asks for it now and then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.types.numeric import Int8BinaryDumper
from sqlalchemy.engine import URL

from remote_server.errors import DatabaseUnusable, StoreUnavailable
from remote_server.store.ports import Durability, OperationFault

Connection = psycopg.Connection[tuple[Any, ...]]
LOCK: Final = int.from_bytes(b"rmtesrv1", "big")
"""Of one database; those who work with others do not meet."""
STATEMENT_TIMEOUT: Final = 30.0
"""Seconds that a statement of the writer may take, a wait for a lock included."""
LONG_TIMEOUT: Final = 120.0
"""The same for lists and searches."""
_CONNECT_TIMEOUT: Final = 5
# Both ends must notice a host that is gone, in a quarter of a minute: a stand-by waits for that.
_KEEPALIVE: Final = {"idle": 5, "interval": 3, "count": 3}
_OWN_FAULTS: Final = (
    psycopg.IntegrityError,
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
)
_IDENTITY: Final = (
    "SELECT system_identifier || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    " || '/' || to_regclass('meta')::oid FROM pg_control_system()"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the database is; never shown with its password."""

    name: str
    """For people."""
    parameters: dict[str, Any] = field(repr=False)

    @classmethod
    def of(cls, url: URL) -> Target:
        """What a URL names. What it leaves out, PostgreSQL's own variables and files say."""
        plain = url.set(drivername="postgresql")
        return cls(
            plain.set(password=None, query={}).render_as_string(),
            psycopg.conninfo.conninfo_to_dict(plain.render_as_string(hide_password=False)),
        )


def connect(target: Target, timeout: float, durability: Durability = "full") -> Connection:
    """A connection in autocommit mode. StoreUnavailable, DatabaseUnusable."""
    usual: dict[str, Any] = {
        "application_name": "remote-server",
        "connect_timeout": _CONNECT_TIMEOUT,
        "tcp_user_timeout": 15_000,
        **{f"keepalives_{name}": number for name, number in _KEEPALIVE.items()},
    }
    try:
        connection = psycopg.connect(
            **(usual | target.parameters),
            autocommit=True,
            prepare_threshold=0,
            cursor_factory=psycopg.RawCursor,
        )
    except psycopg.Error as error:
        raise unavailable(target, error) from None
    try:
        # One type for all numbers: a statement is prepared once, and none is too large for it.
        connection.adapters.register_dumper(int, Int8BinaryDumper)
        connection.prepared_max = None
        _set_up(connection, timeout, durability)
    except psycopg.Error as error:
        connection.close()
        raise unavailable(target, error) from None
    return connection


def _set_up(connection: Connection, timeout: float, durability: Durability) -> None:
    wanted = {
        "statement_timeout": f"{timeout:.0f}s",
        "idle_in_transaction_session_timeout": "60s",
        "default_transaction_isolation": "read committed",
        "client_encoding": "UTF8",
        "TimeZone": "UTC",
        **{f"tcp_keepalives_{name}": str(number) for name, number in _KEEPALIVE.items()},
    }
    if durability == "normal":
        wanted["synchronous_commit"] = "off"
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in wanted.items())
    connection.execute(f"SELECT {calls}", prepare=False)


def take_lock(connection: Connection) -> bool:
    """Take the right to write; whether it was free."""
    row = connection.execute("SELECT pg_try_advisory_lock($1)", [LOCK], prepare=False).fetchone()
    return row is not None and bool(row[0])


def identity(connection: Connection) -> str | None:
    """What changes when the database is another copy: restored, or promoted elsewhere. None where
    PostgreSQL does not tell."""
    try:
        row = connection.execute(_IDENTITY, prepare=False).fetchone()
    except psycopg.Error:
        if connection.closed:
            raise
        return None
    return None if row is None else row[0]


def unavailable(target: Target, error: psycopg.Error) -> StoreUnavailable | DatabaseUnusable:
    """Why no connection is to be had."""
    why = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.InvalidCatalogName) or "does not exist" in why:
        return DatabaseUnusable(
            f"the database {target.name} cannot be opened: {why}; create it (createdb) and let "
            "its owner be the user of the URL"
        )
    if "authentication" in why or "password" in why:
        return DatabaseUnusable(
            f"the database {target.name} cannot be opened: {why}; give the password by PGPASSWORD, "
            "PGPASSFILE or in REMOTE_SERVER_DATABASE"
        )
    return StoreUnavailable(f"the database {target.name} cannot be used now: {why}")


def translated(error: psycopg.Error, connection: Connection) -> Exception:
    """An error of a statement, as an error of the port."""
    # Not str(error): it has the details, and in them stored values, such as the hash of a token.
    text = " ".join((error.diag.message_primary or str(error)).split())
    if isinstance(error, _OWN_FAULTS) and not connection.closed:
        return OperationFault(text)
    return StoreUnavailable(f"the database cannot be used now: {text}; try again later")
