"""The server's database: SQLite in memory. What was committed survives a crash of the server; what
was synced, also a power cut of its host."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.store import versions
from remote_server.store.ports import Durability
from remote_server.store.restoration import NO_MORE_TRIES
from remote_server.store.schema import metadata

RAN = {AttemptState.ACCEPTED, AttemptState.RUNNING, AttemptState.ENDED, AttemptState.LOST}
_JOBS = "SELECT id, name, state, attempt, cancel_requested_at, end_reason, used, tries FROM jobs"
_OUTPUTS = "SELECT body FROM outputs"
_ATTEMPTS = "SELECT job, number, agent, state, log_complete, end_detail FROM attempts"


_TOLD = ("UPDATE jobs", "UPDATE attempts", "INSERT INTO attempts", "DELETE FROM")
"""How statements begin that change what is read here; those for many rows are all taken to."""
_SYNCED = "PRAGMA synchronous = "


class JobRow(NamedTuple):
    """A job as it was committed last."""

    name: str
    state: JobState
    attempt: int
    cancelled: bool
    reason: str
    used: int
    """The highest number that was given."""
    marked: bool
    """A restored database does not know what happened to it since: nothing of it starts again."""


class AttemptRow(NamedTuple):
    """An attempt as it was committed last."""

    agent: str
    state: AttemptState
    log_complete: bool
    detail: str

    @property
    def finished(self) -> bool:
        """Its end is committed."""
        return self.state is AttemptState.ENDED


_JOB_STATES = {state.value: state for state in JobState}
_ATTEMPT_STATES = {state.value: state for state in AttemptState}


class _Connection(sqlite3.Connection):
    """A connection that outlives the programs that open it, as the file does, and may fail."""

    file: DatabaseFile

    def execute(self, text: str, parameters: Any = ()) -> sqlite3.Cursor:
        if not self.file.works:
            raise sqlite3.OperationalError("disk I/O error")
        if text != "COMMIT":
            if text.startswith(_TOLD):
                self.file.changed = True
            elif text.startswith(_SYNCED):
                self.file.synced = text.endswith("FULL")
            return super().execute(text, parameters)
        self.file.committing()
        cursor = super().execute(text)
        self.file.committed()
        return cursor

    def executemany(self, text: str, parameters: Any) -> sqlite3.Cursor:
        if not self.file.works:
            raise sqlite3.OperationalError("disk I/O error")
        self.file.changed = True
        return super().executemany(text, parameters)

    def close(self) -> None:
        """What was not committed is gone."""
        if self.in_transaction:
            super().execute("ROLLBACK")


Content = dict[str, list[tuple[Any, ...]]]
"""All rows by table."""


class DatabaseFile:
    """A database on the disk, and what the world wants to know of it.

    `before_commit` may have a commit fail (sqlite3.Error); `on_commit` is called after it, before
    anybody is told of it.
    """

    def __init__(
        self,
        on_commit: Callable[[], None] = lambda: None,
        before_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.works = True
        self.changed = False
        """Something was written that the world wants to know."""
        self.synced = True
        """Commits wait for the disk."""
        self._on_disk = b""
        """What a power cut leaves."""
        self.jobs: dict[str, JobRow] = {}
        self.attempts: dict[AttemptId, AttemptRow] = {}
        self.committing = before_commit
        self._on_commit = on_commit
        self._connection = connection = _connection()
        # Without the failures that are simulated.
        self._execute = partial(sqlite3.Connection.execute, connection)
        connection.file = self
        self.restore({})

    def connect(self, _: Path, durability: Durability) -> sqlite3.Connection:
        """Open it."""
        if not self.works:
            raise sqlite3.OperationalError("unable to open database file")
        self.synced = durability == "full"
        return self._connection

    def crash(self) -> None:
        """The program that uses it is dead."""
        self._connection.close()
        self.works = True

    def power_cut(self) -> None:
        """The host that it is on was without power: what was not synced is gone. Nobody uses it."""
        self._connection.deserialize(self._on_disk)
        self.reload()

    def committed(self) -> None:
        """A commit is done: read what is there now."""
        if self.synced:
            self._on_disk = self._connection.serialize()
        if self.changed:
            self.changed = False
            self.reload()
        self._on_commit()

    def reload(self) -> None:
        """Read what is there now."""
        self.jobs = {
            job: JobRow(
                name,
                _JOB_STATES[state],
                attempt,
                cancelled is not None,
                reason or "",
                used,
                tries >= NO_MORE_TRIES,
            )
            for job, name, state, attempt, cancelled, reason, used, tries in self._execute(_JOBS)
        }
        self.attempts = {
            AttemptId(job, number): AttemptRow(
                agent, _ATTEMPT_STATES[state], bool(complete), detail
            )
            for job, number, agent, state, complete, detail in self._execute(_ATTEMPTS)
        }

    def outputs(self, key: AttemptId) -> dict[str, str]:
        """The outputs of an attempt."""
        rows = self._execute(f"{_OUTPUTS} WHERE job = ? AND number = ?", key).fetchall()
        return json.loads(rows[0][0]) if rows else {}

    def copy(self) -> Content:
        """What a backup holds."""
        return {name: self._execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}

    def restore(self, content: Content) -> None:
        """Put other rows in the place of all that is there."""
        self._connection.close()
        for name in reversed(TABLES):
            self._execute(f"DELETE FROM {name}")
        for name in TABLES:
            rows = content.get(name)
            if rows:
                row = ", ".join("?" * len(rows[0]))
                insert = f"INSERT INTO {name} VALUES ({row})"
                sqlite3.Connection.executemany(self._connection, insert, rows)
        self._on_disk = self._connection.serialize()
        self.reload()

    @property
    def is_copy(self) -> bool:
        """Whether it still says that it is one."""
        return bool(self._execute("SELECT 1 FROM meta WHERE name = 'copied'").fetchall())

    def mark_as_copy(self) -> None:
        """Say, as every copy does, that it is one, and does after a power cut."""
        self._execute("INSERT OR REPLACE INTO meta VALUES ('copied', '1')")
        self._on_disk = self._connection.serialize()


TABLES = [*(table.name for table in metadata.sorted_tables), "sqlite_sequence"]
"""Those that others refer to come first."""


@cache
def _connection() -> _Connection:
    """The one connection of this process: what it has prepared, the next world needs, too."""
    raw = sqlite3.connect(
        ":memory:", isolation_level=None, factory=_Connection, cached_statements=512
    )
    # Not through the connection itself, which asks whether its file works.
    plain = sqlite3.connect(":memory:", isolation_level=None)
    engine = create_engine("sqlite://", creator=lambda: plain, poolclass=StaticPool)
    with engine.begin() as connection:
        versions.create(connection)
    raw.deserialize(plain.serialize())
    sqlite3.Connection.execute(raw, "PRAGMA foreign_keys = ON")
    return raw
