"""The store: everything that the server remembers, as one object made of repositories.

`Store.open` makes the database ready; all methods are coroutines that return the domain's types
and raise those of `errors`. What it stands on, adapters decide.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from remote_protocol.spec import DEFAULT_QUEUE
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Queue
from remote_server.store.agents import Agents
from remote_server.store.arrivals import Arrivals, Listener
from remote_server.store.artifacts import Artifacts
from remote_server.store.assignment import Assignments
from remote_server.store.attempts import Attempts
from remote_server.store.audit import Audit
from remote_server.store.contents import Contents
from remote_server.store.default_queue import find_default, move_default
from remote_server.store.deliveries import Deliveries
from remote_server.store.fleet import Fleet
from remote_server.store.groups import Groups
from remote_server.store.held import HeldJobs
from remote_server.store.history import History
from remote_server.store.jobs import Jobs
from remote_server.store.listing import JobLists
from remote_server.store.logins import Logins
from remote_server.store.lookup import JobLookups
from remote_server.store.meta import set_meta
from remote_server.store.opening import AS_USUAL, Terms, open_database
from remote_server.store.outbox import Outbox
from remote_server.store.outputs import KeptOutputs
from remote_server.store.persons import Persons
from remote_server.store.ports import Database, Transaction
from remote_server.store.private_inputs import PrivateInputs
from remote_server.store.queues import Queues, ensure_queue
from remote_server.store.reconciliation import Reconciliations
from remote_server.store.registrations import Registrations
from remote_server.store.repository import Ulids
from remote_server.store.restoration import Restoration
from remote_server.store.retention import Retention
from remote_server.store.secrets import Secrets
from remote_server.store.sessions import Sessions
from remote_server.store.specifications import Specs
from remote_server.store.tokens import Tokens
from remote_server.store.waiting import WaitingJobs
from remote_server.store.webhooks import Webhooks


class Store(
    Jobs,
    JobLists,
    JobLookups,
    WaitingJobs,
    Assignments,
    Groups,
    HeldJobs,
    Attempts,
    KeptOutputs,
    Artifacts,
    Contents,
    Reconciliations,
    Agents,
    Fleet,
    Registrations,
    Queues,
    Tokens,
    Persons,
    Logins,
    Sessions,
    History,
    Retention,
    Restoration,
    Webhooks,
    Deliveries,
    Outbox,
    Secrets,
    PrivateInputs,
    Audit,
):
    """Jobs, attempts, agents, queues, tokens and the timeline, in one database."""

    def __init__(self, database: Database, ulids: Ulids) -> None:
        super().__init__(database, ulids)
        self.specs, self.arrivals = Specs(), Arrivals()
        database.listeners.on_commit(self._follow)
        for forget in (self.forget_counts, self.forget_held, self.forget_default):
            database.listeners.on_failure(forget)
            database.listeners.on_reconnect(forget)

    @classmethod
    async def open(
        cls,
        url: str,
        terms: Terms = AS_USUAL,
        *,
        now: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> Self:
        """Open a database by its URL, or a SQLite file by its path; create or upgrade it where
        needed, and wait for the end of another server where the terms say so.

        DatabaseUnusable when it is newer than the program, damaged, none of ours, or in use.
        """
        store = cls(await open_database(url, terms), Ulids(entropy))
        if not terms.guest:
            await store.begin(now())
        return store

    async def begin(self, now: float) -> None:
        """Write what must be there before anybody else writes; `now` in Unix seconds."""
        queue = Queue(DEFAULT_QUEUE, "Jobs that name no queue", False, now)

        def begin(tx: Transaction) -> None:
            self._database.opened(tx)
            if find_default(tx) is None:
                ensure_queue(tx, queue)
                move_default(tx, queue.name)

        await self._database.write(begin)

    def on_commit(self, listener: Callable[[ChangeSet], None]) -> None:
        """Call `listener` after each commit that changed something others may wait for."""
        self._database.listeners.on_commit(listener)

    def on_told(self, listener: Callable[[], None]) -> None:
        """Call `listener` once those were told of results who wish to be the first: what they send
        because of it may leave at once."""
        self._database.listeners.on_told(listener)

    def on_arrival(self, listener: Listener) -> None:
        """Call `listener` when jobs are about to be stored, few at a time: they may be assigned
        already."""
        self.arrivals.on_arrival(listener)

    def on_reconnect(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the database was away and is back: it may have lost what was
        committed last and not acknowledged to anybody, as in a power cut."""
        self._database.listeners.on_reconnect(listener)

    def on_loss(self, listener: Callable[[Exception], None]) -> None:
        """Call `listener` when another server works with the database: this one must end."""
        self._database.listeners.on_loss(listener)

    async def probe(self) -> None:
        """Write something. StoreUnavailable when that is not possible now."""
        await self._database.write(lambda tx: set_meta(tx, "probe", "1"))

    async def backup(self, target: Path) -> int:
        """Copy the database to a file while it is in use; the copy's size in bytes. ServerError."""
        return await self._database.backup(target)

    async def check(self) -> list[str]:
        """What is wrong with the database, a sentence for each fault; nothing when it is sound."""
        found = await self._database.check()
        broken = await self.audit_fault()
        return found if broken is None else [*found, broken]

    async def close(self) -> None:
        """Commit what is pending and close the database."""
        await self._database.close()

    def _follow(self, changes: ChangeSet) -> None:
        kinds = changes.kinds
        if "groups" in kinds or "held" in kinds:
            self.follow_held(changes)
        if "queues" in kinds:
            self.forget_counts()
            self.forget_default()
        else:
            self.follow(changes)
