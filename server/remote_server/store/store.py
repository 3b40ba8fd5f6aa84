"""The store: everything that the server remembers, as one object made of repositories.

`Store.open` makes the database ready; all methods are coroutines that return the domain's types
and raise those of `errors`. Opens the database file; copies and checks it in a thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from sqlalchemy import bindparam, column, delete, insert, literal_column, table, update

from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Queue
from remote_server.errors import ServerError
from remote_server.store import sqlite
from remote_server.store.agents import Agents
from remote_server.store.attempts import Attempts
from remote_server.store.database import Database
from remote_server.store.history import History
from remote_server.store.jobs import Jobs
from remote_server.store.listing import JobLists
from remote_server.store.queues import Queues, ensure_queue
from remote_server.store.repository import Ulids
from remote_server.store.restoration import Restoration
from remote_server.store.retention import Retention
from remote_server.store.schema import meta
from remote_server.store.specifications import Specs
from remote_server.store.tokens import Tokens
from remote_server.store.transaction import Transaction
from remote_server.store.upgrade import database_path, prepare
from remote_server.store.waiting import WaitingJobs

SKIPPED: Final = 1_000_000
"""Numbers of events left out after a crash: more than can have been lost."""
_sequence: Final = table("sqlite_sequence", column("name"), column("seq"))
_SKIP: Final = (
    update(_sequence)
    .where(_sequence.c.name == literal_column("'timeline'"))
    .values(seq=_sequence.c.seq + bindparam("count"))
)
_FORGET_PROBE: Final = delete(meta).where(meta.c.name == bindparam("wanted"))
_PROBE: Final = insert(meta).values(name=bindparam("name"), value=bindparam("value"))


class Store(
    Jobs, JobLists, WaitingJobs, Attempts, Agents, Queues, Tokens, History, Retention, Restoration
):
    """Jobs, attempts, agents, queues, tokens and the timeline, in one database."""

    def __init__(self, database: Database, ulids: Ulids) -> None:
        super().__init__(database, ulids)
        self.specs = Specs()
        database.on_commit(self._follow)
        database.on_failure(self.forget_counts)

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        durability: sqlite.Durability = "full",
        migrate: bool = True,
        now: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> Self:
        """Open a database by its SQLAlchemy URL or path; create or upgrade it where needed.

        DatabaseUnusable when it is newer than the program, damaged or none of ours.
        """
        path = database_path(url)
        prepare(path, migrate=migrate)
        unclean = sqlite.left_behind(path)
        store = cls(Database(path, durability), Ulids(entropy))
        queue = Queue(DEFAULT_QUEUE, "Jobs that name no queue", False, now())

        def begin(tx: Transaction) -> None:
            ensure_queue(tx, queue)
            if unclean:
                # A power cut may have undone events that somebody has seen already: their
                # numbers must not be given to others.
                tx.run(_SKIP, {"count": SKIPPED})

        await store._database.write(begin)
        return store

    def on_commit(self, listener: Callable[[ChangeSet], None]) -> None:
        """Call `listener` after each commit that changed something others may wait for."""
        self._database.on_commit(listener)

    async def probe(self) -> None:
        """Write something. StoreUnavailable when that is not possible now."""
        row = {"name": "probe", "value": "1"}

        def write(tx: Transaction) -> None:
            tx.run(_FORGET_PROBE, {"wanted": "probe"})
            tx.run(_PROBE, row)

        await self._database.write(write)

    async def backup(self, target: Path) -> int:
        """Copy the database to a file while it is in use; the copy's size in bytes. ServerError."""
        try:
            return await asyncio.to_thread(sqlite.backup, self._database.path, target)
        except (OSError, sqlite.Error) as error:
            raise ServerError(f"the backup to {target} failed: {error}") from error

    async def check(self) -> list[str]:
        """What is wrong with the database, a sentence for each fault; nothing when it is sound."""
        return await asyncio.to_thread(sqlite.faults, self._database.path)

    async def close(self) -> None:
        """Commit what is pending and close the database."""
        self._database.close()

    def _follow(self, changes: ChangeSet) -> None:
        if changes.queues:
            self.forget_counts()
        else:
            self.follow(changes)
