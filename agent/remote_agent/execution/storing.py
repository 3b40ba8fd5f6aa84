"""Makes offered attempts durable, and says in words why one cannot be. May touch the journal.

Offers that come at once are accepted at once: one flush of the disk serves all that were stored in
a turn of the loop. Where flushes are slow they are made in a thread, and everything else goes on;
where they are quick that would take longer than they do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from remote_agent.errors import os_words
from remote_agent.execution.flush_thread import FlushThread
from remote_agent.journal import Journal
from remote_agent.journal.directory import NumberUsed
from remote_agent.journal.users import NoUserFree
from remote_agent.planning.work import NotAllowed
from remote_agent.processes import keep_freed_memory
from remote_agent.session.events import Event, OfferFailed, OfferStored
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Offer, Refusal

log = structlog.get_logger("agent")

SLOW: Final = 0.001
"""Seconds of a flush above which the next one is made in a thread: ten times what that costs."""

_READ_AT_ONCE: Final = 300 * 1024
"""More than the block into which asyncio reads a socket: without `keep_freed_memory` each frame
costs three system calls and two empty pages, 8 µs."""


class AttemptStore:
    """Writes attempts into the journal, and reports what was not known at once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._report: Callable[[Event], None] = _nobody
        self._written: list[AttemptId] = []
        """Attempts that are to be accepted when all offers of this turn of the loop are heard."""
        self._slow = False
        """The latest flush took longer than `SLOW`."""
        self._idle = True
        """There was no offer yet."""
        self._thread = FlushThread(self._flush, self._flushed)
        self._in_thread: list[AttemptId] = []
        """Attempts that the thread makes a flush for now."""

    def open(self, report: Callable[[Event], None]) -> None:
        """Report to this one from now on."""
        self._report = report

    def store(self, offer: Offer) -> OfferStored | OfferFailed | None:
        """Make an attempt durable; OfferFailed says why that is impossible. None: that is reported
        soon."""
        if self._idle:
            # Not from the start: an agent without jobs has no use for the memory.
            self._idle = False
            keep_freed_memory(_READ_AT_ONCE)
        key = offer.attempt
        try:
            self._write(offer)
        except NumberUsed as error:
            log.error("an offer was refused", attempt=str(key), reason=str(error))
            return OfferFailed(key, Refusal.STALE, str(error))
        except NoUserFree as error:
            return OfferFailed(key, Refusal.CAPACITY, str(error))
        except NotAllowed as error:
            log.warning("an offer was refused", attempt=str(key), reason=str(error))
            return OfferFailed(key, Refusal.POLICY, str(error)[:MAX_TEXT])
        except OSError as error:
            return _refused_by_disk(key, error)
        except Exception as error:
            # One job that this agent cannot even prepare must not take the agent down, again and
            # again with each new offer of it.
            log.exception("an offer cannot be prepared", attempt=str(key))
            text = f"this agent cannot prepare the job: {error}"[:MAX_TEXT]
            return OfferFailed(key, Refusal.POLICY, text)
        if key not in self._journal.unaccepted:
            return OfferStored(key)
        if not self._written:
            asyncio.get_running_loop().call_soon(self._accept)
        self._written.append(key)
        return None

    def _accept(self) -> None:
        """Accept all that were stored since; what comes during a flush waits for the next one."""
        if self._in_thread or not self._written:
            return
        keys, self._written = self._written, []
        try:
            self._journal.accept(keys)
        except OSError as error:
            self._answer(keys, error)
            return
        if self._slow:
            self._in_thread = keys
            self._thread.begin()
        else:
            self._answer(keys, self._flush())

    def _flush(self) -> OSError | None:
        began = time.monotonic()
        try:
            self._journal.force()
        except OSError as error:
            return error
        finally:
            self._slow = time.monotonic() - began > SLOW
        return None

    def _flushed(self, error: OSError | None) -> None:
        keys, self._in_thread = self._in_thread, []
        self._answer(keys, error)
        self._accept()

    def _answer(self, keys: list[AttemptId], error: OSError | None) -> None:
        if error is not None:
            self._journal.withdraw(keys)
        for key in keys:
            self._report(OfferStored(key) if error is None else _refused_by_disk(key, error))

    def _write(self, offer: Offer) -> None:
        try:
            self._journal.store(offer)
        except PermissionError:
            if not self._journal.mend():
                raise
            self._journal.store(offer)


def _refused_by_disk(key: AttemptId, error: OSError) -> OfferFailed:
    why = os_words(error, "the state directory")
    text = f"no attempt can be written to the disk: {why}"
    log.error("an offer was refused", attempt=str(key), reason=text)
    return OfferFailed(key, Refusal.DISK, text)


def _nobody(event: Event) -> None:
    """Nothing is stored before somebody is there to hear of it."""
