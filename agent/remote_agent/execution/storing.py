"""Writes offered attempts, makes them durable, and says in words why one cannot be. May touch the
journal.

An acceptance leaves before its flush of the disk, which is made while the server hears of it: the
attempt starts when both are done (docs/decisions/0051-accepted-before-its-flush.md). One flush
serves all that were accepted in a turn of the loop. Where flushes are slow they are made in a
thread, and everything else goes on; where they are quick that would take longer than they do.
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
from remote_agent.session.events import (
    AcceptanceDurable,
    AcceptanceFailed,
    Event,
    OfferFailed,
    OfferStored,
)
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
        """Attempts of the next flush."""
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

    def store(self, offer: Offer) -> OfferStored | OfferFailed:
        """Write an attempt's directory; OfferFailed says why that is impossible."""
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
        return OfferStored(key)

    def force(self, key: AttemptId) -> None:
        """Force to the disk that the attempt is accepted, after what was sent before; how that went
        is reported."""
        if key not in self._journal.unaccepted:
            self._report(AcceptanceDurable(key))
            return
        if not self._written:
            self._accept_soon()
        self._written.append(key)

    def take_up(self) -> None:
        """Do the same for what a former agent has left, which may have been killed before it."""
        self._written = [*self._journal.unaccepted]
        self._accept()

    def _accept_soon(self) -> None:
        # The link writes at the end of the turn in which something is said, which is asked for
        # before: what says that they are accepted has left when a flush holds the loop.
        asyncio.get_running_loop().call_soon(self._accept)

    def _accept(self) -> None:
        """Have the disk keep all that were accepted since; what comes during a flush waits for the
        next one."""
        if self._in_thread:
            return
        # Those that were given up meanwhile are nobody's any more.
        keys = [key for key in self._written if key in self._journal.unaccepted]
        self._written = []
        if not keys:
            return
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
        except Exception as error:
            # Our own bug: whoever waits for this flush must hear of it, and the next one be made.
            log.exception("a flush of the disk failed")
            return OSError(f"{type(error).__name__}: {error}")
        finally:
            self._slow = time.monotonic() - began > SLOW
        return None

    def _flushed(self, error: OSError | None) -> None:
        keys, self._in_thread = self._in_thread, []
        self._answer(keys, error)
        if self._written:
            self._accept_soon()

    def _answer(self, keys: list[AttemptId], error: OSError | None) -> None:
        for key in keys:
            if key in self._written:
                continue  # given up and offered again meanwhile: it waits for the next flush
            self._report(AcceptanceDurable(key) if error is None else _not_kept(key, error))

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


def _not_kept(key: AttemptId, error: OSError) -> AcceptanceFailed:
    why = os_words(error, "the state directory")
    text = (
        f"its agent's disk does not keep that it was accepted ({why}): see to that disk, the agent"
        " takes no jobs before"
    )
    log.error("an accepted attempt cannot start", attempt=str(key), reason=text)
    return AcceptanceFailed(key, text)


def _nobody(event: Event) -> None:
    """Nothing is stored before somebody is there to hear of it."""
