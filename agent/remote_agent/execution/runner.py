"""Runs attempts through shims: asks for starts, hears hints, looks after what runs.

May touch attempt directories, the shims' sockets and the launcher's process. Hints only make it
fast; the truth is the directory (locks, records, sizes), looked at once a second while something
runs. Wishes to end an attempt are said again until it has ended (I7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog
from pydantic import ValidationError

from remote_agent.execution.shim_events import Hint, Hints
from remote_agent.execution.shim_pool import Crew
from remote_agent.execution.stopping import Stopper, Watched, as_wished
from remote_agent.journal import Journal, Record
from remote_agent.journal.directory import ended_from
from remote_agent.journal.inputs import measure
from remote_agent.journal.losses import killed_words, lost
from remote_agent.processes import HOST_FAULTS, Folder, UnexpectedEntry
from remote_agent.session.events import AttemptEnded, AttemptStarted, Event, SpoolGrew
from remote_agent.session.machine import Session
from remote_agent.shim.launcher_client import tell
from remote_agent.shim.layout import EXIT
from remote_agent.shim.record import has_begun, read_record
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Offer, Phase, Started
from remote_protocol.states import EndReason

log = structlog.get_logger("runner")

AGAIN: Final = 0.1
"""Seconds until a start or a wish that nobody took is tried again."""
SYNC_AFTER: Final = 1.0
"""Seconds after which an end that the server has not settled is forced to this host's disk."""
UNHEARD: Final = 15.0
"""Seconds after which a start that was asked for is asked for again: its shim may have died."""


class Runner:
    """Everything that runs on this host for the agent."""

    def __init__(
        self,
        state_dir: Path,
        journal: Journal,
        report: Callable[[Event], None],
        descriptors: int | None = None,
    ) -> None:
        """`descriptors`: how many files a job may open; None: as many as the agent."""
        self._journal = journal
        self._report = report
        self._crew = Crew(state_dir / "logs", descriptors)
        self._stopper = Stopper(journal)
        self._watched: dict[AttemptId, Watched] = {}
        self._unsynced: dict[AttemptId, float] = {}
        """Ends that may be in memory only, with the time they were seen."""
        self._hints = Hints(state_dir, self._heard)
        self._again: asyncio.TimerHandle | None = None
        self._held = False

    @property
    def running(self) -> int:
        """Attempts that are asked for or run."""
        return len(self._watched)

    # Begin and end -----------------------------------------------------------------------

    def open(self) -> None:
        """Start the launcher and listen for hints. OSError when the host refuses."""
        self._crew.open()
        self._hints.open()

    def close(self) -> None:
        """Let go: what runs runs on, spare shims end."""
        self._hints.close()
        if self._again is not None:
            self._again.cancel()
        self._crew.close()

    def reattach(self, session: Session) -> None:
        """Take up everything that a former agent has left, before the first link."""
        for record in self._journal.scan():
            key, phase, started = record.key, record.phase, None
            if record.started is not None:
                at, pid = record.started.at, record.started.pid
                started = Started(attempt=key, pid=pid, at=at)
            elif phase is Phase.RUNNING:
                # Its shim is just about to say what it has spawned: hear it as that of a new one.
                phase = Phase.ACCEPTED
            spec = None if record.offer is None else record.offer.spec
            reads = spec is not None and spec.stdin
            copy = measure(self._journal.path(key)) if reads else None
            session.adopt(key, spec, phase, record.size, started, record.ended, copy)
            if record.phase is Phase.ENDED:
                self._unsynced[key] = _now()
            if record.phase is Phase.RUNNING:
                self._watched[key] = Watched(self._journal.path(key), started is not None)

    def resize(self, capacity: int) -> None:
        """So many attempts are expected to run at a time."""
        self._crew.capacity = capacity
        self._crew.fit(len(self._watched))

    # What the session wants --------------------------------------------------------------

    def store(self, offer: Offer) -> None:
        """Make an attempt's directory durable. OSError when the disk refuses."""
        try:
            self._journal.store(offer)
        except PermissionError:
            if not self._journal.mend():
                raise
            self._journal.store(offer)

    def start(self, key: AttemptId) -> None:
        """Have a shim run the attempt; asked for twice, it still starts once (I1)."""
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = Watched(self._journal.path(key))
            self._crew.fit(len(self._watched))
        self._ask(watched)

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it politely; an attempt that has not begun never will."""
        self._wish(key, {"do": "stop", "reason": reason.value, "detail": detail})

    def kill(self, key: AttemptId, detail: str) -> None:
        """End it at once."""
        self._wish(key, {"do": "kill", "reason": EndReason.LOST.value, "detail": detail})

    def hold(self, held: bool) -> None:
        """Have all jobs' output wait, or go on: the disk or the quota of spools is full."""
        if held or self._held:
            for watched in self._watched.values():
                tell(watched.directory, {"do": "hold" if held else "go"})
        self._held = held

    def forget(self, key: AttemptId) -> None:
        """The server needs nothing more of it."""
        self._watched.pop(key, None)
        self._unsynced.pop(key, None)
        try:
            self._journal.settle(key)
        except OSError as error:
            # Found again by the next start, and settled then: the server says so at its hello.
            log.error("an attempt cannot be put away", attempt=str(key), reason=error.strerror)

    def _ask(self, watched: Watched) -> None:
        try:
            self._crew.request(watched.directory)
        except OSError as error:
            # Too many wait (unix(7): max_dgram_qlen), or the launcher is being replaced.
            log.debug("a start has to wait", attempt=watched.directory.name, reason=str(error))
            watched.asked_at = None
            self._soon()
        else:
            watched.asked_at = _now()

    def _wish(self, key: AttemptId, wish: dict[str, object]) -> None:
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = Watched(self._journal.path(key))
        if watched.wish is None or wish["do"] == "kill":
            watched.wish, watched.wished_at = wish, 0.0
        self._say(key, watched)

    def _say(self, key: AttemptId, watched: Watched) -> None:
        ended = self._stopper.say(key, watched, _now())
        if ended is not None:
            self._over(key, ended)
        elif watched.wish is not None and not watched.wished_at:
            self._soon()

    def _soon(self) -> None:
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(AGAIN, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        for key, watched in list(self._watched.items()):
            if watched.asked_at is None and not watched.started and watched.wish is None:
                self._ask(watched)
            elif watched.wish is not None and not watched.wished_at:
                self._look(key, watched)
                if key in self._watched:
                    self._say(key, watched)

    # Hints -------------------------------------------------------------------------------

    def _heard(self, hint: Hint) -> None:
        key = hint.key
        watched = self._watched.get(key)
        if watched is None:
            return
        match hint.what:
            case "grew":
                self._report(SpoolGrew(key, hint.size))
            case "started":
                if not watched.started:
                    watched.started = True
                    self._report(AttemptStarted(key, hint.pid, hint.at))
                self._say(key, watched)
            case "ended" if hint.record is not None:
                # The disk takes no record: this one is all that there is of its end.
                with suppress(ValidationError):
                    self._over(key, ended_from(key, hint.record))
            case "ended":
                self._look(key, watched)

    # The truth ---------------------------------------------------------------------------

    def tick(self) -> None:
        """About once a second: look at everything that runs, and at the launcher."""
        if self._journal.mend() | self._crew.revive():
            for watched in self._watched.values():
                if not watched.started and watched.asked_at is not None:
                    self._ask(watched)
        now = _now()
        for key, watched in list(self._watched.items()):
            self._look(key, watched)
            if key not in self._watched:
                continue
            if watched.wish is not None:
                self._say(key, watched)
            elif watched.asked_at is not None and not watched.started:
                if now - watched.asked_at > UNHEARD:
                    self._ask(watched)
        if self._held:
            self.hold(True)
        self._crew.fit(len(self._watched))
        self._sync(now)

    def _sync(self, now: float) -> None:
        for key in [key for key, at in self._unsynced.items() if now - at >= SYNC_AFTER]:
            try:
                self._journal.sync(key)
            except OSError as error:
                log.error("an end cannot be synced", attempt=str(key), reason=error.strerror)
                return
            del self._unsynced[key]

    def _look(self, key: AttemptId, watched: Watched, again: bool = True) -> None:
        """Report what an attempt's directory says. One that is damaged ends its attempt, and only
        that."""
        try:
            self._judge(key, watched)
            watched.blind = False
        except FileNotFoundError:
            self._gone(key)
        except OSError as error:
            if again and self._journal.mend():
                self._look(key, watched, again=False)
                return
            if not watched.blind:
                path = str(watched.directory)
                log.error("an attempt cannot be looked at", path=path, reason=error.strerror)
            watched.blind = True
            if error.errno not in HOST_FAULTS:
                self._take(key, watched, self._journal.abandon(key, str(error.strerror)))

    def _judge(self, key: AttemptId, watched: Watched) -> None:
        with Folder(watched.directory) as directory:
            try:
                body = read_record(directory, EXIT)
            except UnexpectedEntry:
                body = None
            if body is None:
                begun = has_begun(directory)
                kept = begun and directory.locked()
        if body is not None:
            with suppress(ValidationError):
                self._over(key, ended_from(key, body))
                return
            kept = False
        elif not begun:
            if watched.started:
                reason = "another directory is in its place"
                self._take(key, watched, self._journal.abandon(key, reason))
            return
        if kept and watched.started:
            self._report(SpoolGrew(key, self._journal.spool(key).size()))
            return
        self._take(key, watched, self._journal.look(key))

    def _take(self, key: AttemptId, watched: Watched, record: Record | None) -> None:
        if record is None:
            self._gone(key)
            return
        if record.started is not None and not watched.started:
            watched.started = True
            self._report(AttemptStarted(key, record.started.pid, record.started.at))
        if record.ended is not None:
            self._over(key, record.ended)

    def _over(self, key: AttemptId, ended: Ended) -> None:
        watched = self._watched.pop(key, None)
        if watched is not None:
            ended = as_wished(ended, watched)
        self._unsynced[key] = _now()
        self._report(SpoolGrew(key, ended.size))
        self._report(AttemptEnded(key, ended))

    def _gone(self, key: AttemptId) -> None:
        """Somebody has taken the directory away: its job is over, and nothing of it is left."""
        log.error("an attempt's directory is gone", path=str(self._journal.path(key)))
        detail = "the attempt's directory was removed from the agent's disk"
        detail += killed_words(self._journal.kill_rest(key, None))
        self._over(key, ended_from(key, lost(detail, 0, 0, None)))


def _now() -> float:
    return asyncio.get_running_loop().time()
