"""Carries out what a session wants: sends, commits, writes and compares logs.

Nothing is acknowledged before it is committed (I4): the answers of a record are sent after its
commit, an ack after the append. Only a confirmation may leave before the commit of its acceptance,
where that holds the loop (ADR 50). May touch the store and log files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ToAgent
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Confirm, Ended
from remote_server.domain.changes import Accepted, Finished, Withdrawn
from remote_server.domain.events import (
    AppendLog,
    CapacityChanged,
    ChangeRefused,
    Close,
    ConfirmWithSecrets,
    Effect,
    EndCommitting,
    EndRecorded,
    Event,
    FillLog,
    LogVerified,
    Record,
    Send,
    SendInputs,
    StoreFailed,
    TruncateLog,
    VerifyLog,
)
from remote_server.domain.model import Outcome
from remote_server.errors import Stale, StoreUnavailable
from remote_server.hub.owner import Owner
from remote_server.logs import LogUnavailable

log = structlog.get_logger("remote_server.link")


class Carrier(Protocol):
    """The link whose session wants it."""

    name: str

    def feed(self, event: Event) -> None:
        """Tell the session what came of an effect."""

    def send(self, message: ToAgent) -> None:
        """Send a message to the agent."""

    def send_inputs(self) -> None:
        """There are pieces of inputs to send."""

    def capacity_changed(self) -> None:
        """The agent's place for jobs changed."""

    def close(self, code: CloseCode, detail: str) -> None:
        """Say why, then close."""

    def broke(self, error: BaseException) -> None:
        """Our own bug."""


class _Early:
    """The confirmation of an acceptance, which may leave before its commit."""

    __slots__ = ("_carrier", "_confirm", "said")

    def __init__(self, carrier: Carrier, confirm: ToAgent) -> None:
        self._carrier = carrier
        self._confirm = confirm
        self.said = False

    def __call__(self, _: Outcome) -> None:
        self.said = True
        self._carrier.send(self._confirm)


class Executor:
    """Carries out the effects of one session, in the order in which they are given."""

    __slots__ = ("_carrier", "_owner", "working")

    def __init__(self, owner: Owner, carrier: Carrier) -> None:
        self._owner = owner
        self._carrier = carrier
        self.working: set[asyncio.Future[Any]] = set()
        """Commits and comparisons that are under way."""

    def carry(self, effect: Effect, payload: memoryview) -> None:
        """Carry out an effect; `payload` is that of the chunk that led to it."""
        logs = self._owner.logs
        match effect:
            # What every job leads to comes first.
            case Record():
                self._record(effect)
            case Send():
                self._carrier.send(effect.message)
            case CapacityChanged():
                self._carrier.capacity_changed()
            case VerifyLog():
                self._compare(effect.ended)
            case AppendLog(attempt, skip, ack, take):
                try:
                    logs.append(attempt, payload[skip:][:take])
                except LogUnavailable as error:
                    self.failed(attempt, error)
                else:
                    self._carrier.send(ack.message)
            case ConfirmWithSecrets():
                self._spawn(self._confirm(effect))
            case TruncateLog(attempt, length):
                self._write(attempt, lambda: logs.truncate(attempt, length))
            case FillLog(attempt, length):
                self._write(attempt, lambda: logs.fill(attempt, length, self._owner.clock.wall()))
            case SendInputs():
                self._carrier.send_inputs()
            case Close(code, detail):
                self._carrier.close(code, detail)

    async def settle(self) -> None:
        """Wait until everything that was to be recorded is."""
        while self.working:
            await asyncio.wait(self.working)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry out something else beside the reading of frames, as a commit."""
        self._spawn(work)

    def failed(self, attempt: AttemptId, error: Exception) -> None:
        """Something about an attempt could not be written or read; nothing was acknowledged."""
        self.noted(attempt, error)
        self._owner.trouble()
        self._carrier.feed(StoreFailed(attempt))

    def noted(self, attempt: AttemptId, error: Exception) -> None:
        """The same of something that the session knows nothing of: it is said again."""
        self._owner.log.write(
            log.warning,
            "nothing was acknowledged",
            self._carrier.name,
            attempt=str(attempt),
            reason=str(error),
        )

    def _write(self, attempt: AttemptId, write: Callable[[], object]) -> None:
        try:
            write()
        except LogUnavailable as error:
            self.failed(attempt, error)

    def _record(self, record: Record) -> None:
        change = record.change
        if isinstance(change, Accepted):
            self._accept(record, change)
        elif isinstance(change, Finished):
            if change.ended.size and self._owner.terms.durable:
                self._spawn(self._sync(record, change))
            else:
                self._end(record, change)
        elif isinstance(change, Withdrawn):
            # Its commit wakes the dispatcher, which the free place has woken already: committed a
            # turn later, it looks again when it is known that the agent gave the job back.
            self._spawn(self._withdraw(record))
        else:
            self._commit(record)

    def _accept(self, record: Record, change: Accepted) -> None:
        owner, early = self._owner, None
        if change.first and not owner.terms.durable:
            try:
                # Before the commit: after a crash in between, nobody would know what to cut.
                owner.logs.begin(change.key)
            except LogUnavailable as error:
                self.failed(change.key, error)
                return
        if record.then and isinstance(answer := record.then[0], Send):
            early = _Early(self._carrier, answer.message)
        self._commit(record, early)

    def _end(self, record: Record, change: Finished) -> None:
        # Said before it is written, so that the dispatcher is woken first: what it gives to the
        # place that becomes free shares the commit.
        self._carrier.feed(EndCommitting(change.key))
        self._commit(record)

    async def _sync(self, record: Record, change: Finished) -> None:
        """An end is committed after its log is on the disk."""
        try:
            await self._owner.logs.sync(change.key)
        except LogUnavailable as error:
            self.failed(change.key, error)
            return
        self._end(record, change)

    async def _withdraw(self, record: Record) -> None:
        self._commit(record)

    def _commit(self, record: Record, early: _Early | None = None) -> None:
        # Not a task, which would cost a tenth of what is done for a report.
        owner, change = self._owner, record.change
        heard = partial(self._committed, record, early)
        name, now = self._carrier.name, owner.clock.wall()
        self.working.add(owner.store.record(name, change, now, early, heard))

    def _committed(
        self, record: Record, early: _Early | None, future: asyncio.Future[Outcome]
    ) -> None:
        self.working.discard(future)
        if future.cancelled():
            return  # nobody can say that it is stored, so nothing follows from it
        error = future.exception()
        change = record.change
        if error is None:
            try:
                self._answer(record, early)
            except Exception as fault:
                self._carrier.broke(fault)
        elif isinstance(error, Stale):
            self._carrier.feed(ChangeRefused(change))
        elif isinstance(error, StoreUnavailable):
            self.failed(change.key, error)
        else:
            self._carrier.broke(error)

    def _answer(self, record: Record, early: _Early | None) -> None:
        """A change is committed: say so, unless it was said, and do what follows."""
        change, owner, name = record.change, self._owner, self._carrier.name
        for answer in () if early is not None and early.said else record.then:
            if isinstance(answer, Send):
                self._carrier.send(answer.message)
            else:
                self._spawn(self._confirm(answer))
        match change:
            case Finished():
                self._carrier.feed(EndRecorded(change.key))
                self._finish(change)
            case Accepted(first=True):
                owner.took(name, change.key)
            case Withdrawn():
                owner.gave_back(name, change.key, change.detail)

    async def _confirm(self, wanted: ConfirmWithSecrets) -> None:
        """Read what the attempt is given, and send it. When it cannot be read, the agent says again
        that it accepted once the database works."""
        owner = self._owner
        try:
            given = await owner.vault.granted(wanted.names, wanted.queue)
            private, trouble = None, given.trouble
            if wanted.private_input:
                private, unread = await owner.vault.private_input(wanted.key.job)
                trouble = trouble or unread
        except StoreUnavailable as error:
            self.failed(wanted.key, error)
            return
        if trouble:
            found = {"attempt": str(wanted.key), "reason": trouble}
            owner.log.write(log.warning, "secrets are withheld", self._carrier.name, **found)
        message = Confirm(
            attempt=wanted.key,
            secrets=dict(given.values),
            withheld=dict(given.withheld),
            private_input=private,
        )
        self._carrier.send(message)

    def _finish(self, change: Finished) -> None:
        self._owner.logs.finish(change.key)
        if change.torn:
            self._owner.logs.torn += 1
            found = {"agent": self._carrier.name, "attempt": str(change.key)}
            log.warning("a log is incomplete", reason=change.torn, **found)

    def _compare(self, ended: Ended) -> None:
        known = self._owner.logs.known_checksum(ended.attempt, ended.size)
        if known is None:
            self._spawn(self._verify(ended))
        else:
            self._carrier.feed(LogVerified(ended, ended.size, known == ended.checksum))

    async def _verify(self, ended: Ended) -> None:
        logs = self._owner.logs
        try:
            checksum = await logs.checksum(ended.attempt, ended.size, self._carrier.name)
            length = logs.length(ended.attempt)
        except LogUnavailable as error:
            self.failed(ended.attempt, error)
            return
        self._carrier.feed(LogVerified(ended, length, checksum == ended.checksum))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.working.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.working.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._carrier.broke(error)
