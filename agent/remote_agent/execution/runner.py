"""Runs attempts through shims: asks for starts, hears their notifications, looks after what runs.

May touch attempt directories, the shims' sockets and the launcher's process. Notifications of
shims only make it fast; the truth is the directory (locks, records, sizes), looked at once a second
while something runs. Requests to end an attempt are repeated until it has ended (I7).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import structlog

from remote_agent.execution.end_syncs import EndSyncs
from remote_agent.execution.looks import look_at
from remote_agent.execution.notifications import Notification, NotificationSocket
from remote_agent.execution.shim_pool import ShimPool
from remote_agent.execution.stopping import RunningAttempt, Stopper, with_requested_reason
from remote_agent.journal import AttemptRecord, Journal
from remote_agent.journal.directory import ended_from
from remote_agent.journal.inputs import measure
from remote_agent.journal.losses import killed_words, lost
from remote_agent.journal.unstarted import end_before_start
from remote_agent.planning.work import Interpreter
from remote_agent.processes import HOST_FAULTS
from remote_agent.sections import PythonPart
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.events import AttemptEnded, AttemptStarted, Event, SpoolGrew
from remote_agent.shim.launcher_client import tell
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Phase, Started
from remote_protocol.states import EndReason

log = structlog.get_logger("runner")

RETRY: Final = 0.1
"""Seconds until a start or a request to stop that nobody took is tried again."""
UNHEARD: Final = 15.0
"""Seconds after which a start that was asked for is asked for again: its shim may have died."""
_REMOVED: Final = "an attempt's directory is gone"


class Runner:
    """Everything that runs on this host for the agent."""

    def __init__(
        self,
        state_dir: Path,
        journal: Journal,
        descriptors: int | None = None,
        group: str | None = None,
        hidden: Collection[str] = frozenset(),
    ) -> None:
        """`descriptors`: how many files a job may open; None: as many as the agent. `group`: the
        control group of shims; None: the agent's. `hidden`: variables that they do not get."""
        self._journal = journal
        self._report: Callable[[Event], None] = _nobody
        self.on_end: Callable[[AttemptId], None] | None = None
        """Hears of each end before the session does; None: nobody wants to."""
        self._shims = ShimPool(state_dir / "logs", descriptors, group, hidden)
        self._stopper = Stopper(journal)
        self._watched: dict[AttemptId, RunningAttempt] = {}
        self._ends = EndSyncs(journal)
        self._socket = NotificationSocket(state_dir)
        self._retry_timer: asyncio.TimerHandle | None = None
        self._output_paused = False

    @property
    def running(self) -> int:
        """Attempts that are asked for or run."""
        return len(self._watched)

    # Begin and end -----------------------------------------------------------------------

    def open(self, report: Callable[[Event], None]) -> None:
        """Start the launcher, and `report` what shims say from now on. OSError when the host
        refuses."""
        self._report = report
        self._shims.open()
        self._socket.open(self._heard)

    def close(self) -> None:
        """Let go: what runs runs on, spare shims end."""
        self._socket.close()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        self._shims.close()

    def hand_over(self) -> None:
        """This process is about to become another program (`ShimPool.hand_over`)."""
        self._shims.hand_over()

    def reattach(self) -> list[FoundAttempt]:
        """Everything that a former agent has left, before the first link; what runs is watched."""
        found: list[FoundAttempt] = []
        for record in self._journal.scan():
            key, phase, started = record.key, record.phase, None
            if record.started is not None:
                at, pid = record.started.at, record.started.pid
                started = Started(attempt=key, pid=pid, at=at)
            elif phase is Phase.RUNNING:
                # Its shim is just about to say what it has spawned: hear it as that of a new one.
                phase = Phase.ACCEPTED
            if record.phase is Phase.ENDED:
                self._ends.seen(key)
            if record.phase is Phase.RUNNING:
                directory = self._journal.directory(key)
                self._watched[key] = RunningAttempt(directory, started is not None)
            spec = None if record.offer is None else record.offer.spec
            reads = spec is not None and spec.stdin
            copy = measure(self._journal.path(key)) if reads else None
            size, ended = record.size, record.ended
            found.append(FoundAttempt(key, spec, phase, size, started, ended, copy))
        return found

    def want_interpreter(
        self,
        key: AttemptId,
        wanted: Interpreter,
        settings: PythonPart,
        inherited: Mapping[str, str],
    ) -> None:
        """The attempt will be forked from a warm interpreter: have it ready at its start."""
        self._shims.want_interpreter(str(key), wanted, settings, inherited)

    def resize(self, capacity: int) -> None:
        """So many attempts are expected to run at a time."""
        self._shims.capacity = capacity
        self._shims.fit(len(self._watched))

    # What the session wants --------------------------------------------------------------

    def start(self, key: AttemptId, secrets: Mapping[str, str] | None = None) -> None:
        """Have a shim run the attempt with these values of its secrets; asked for twice, it still
        starts once (I1)."""
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = RunningAttempt(self._journal.directory(key))
        watched.secrets = secrets
        self._ask(watched)
        self._shims.fit(len(self._watched))

    def refuse(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it before it starts; one that a shim has begun meanwhile goes on."""
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = RunningAttempt(self._journal.directory(key))
        watched.refusal = reason, detail
        self._refuse(key, watched)

    def _refuse(self, key: AttemptId, watched: RunningAttempt) -> None:
        assert watched.refusal is not None
        body = end_before_start(Path(watched.directory), *watched.refusal, after="")
        if body is not None:
            self._finish(key, ended_from(key, body))

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it politely; an attempt that has not begun never will."""
        self._request_stop(key, {"do": "stop", "reason": reason.value, "detail": detail})

    def kill(self, key: AttemptId, detail: str) -> None:
        """End it at once."""
        self._request_stop(key, {"do": "kill", "reason": EndReason.LOST.value, "detail": detail})

    def pause_output(self, paused: bool) -> None:
        """Have all jobs' output wait, or go on: the disk or the quota of spools is full."""
        if paused or self._output_paused:
            for watched in self._watched.values():
                tell(watched.directory, {"do": "hold" if paused else "go"})
        self._output_paused = paused

    def forget(self, key: AttemptId) -> None:
        """The server needs nothing more of it."""
        self._watched.pop(key, None)
        self._ends.settled(key)
        try:
            self._journal.settle(key)
        except OSError as error:
            # Found again by the next start, and settled then: the server says so at its hello.
            log.error(
                "the files of a settled attempt cannot be removed; the next start tries again",
                attempt=str(key),
                reason=error.strerror,
            )

    def _ask(self, watched: RunningAttempt) -> None:
        try:
            self._shims.request(watched.directory, watched.secrets)
        except OSError as error:
            # Too many wait (unix(7): max_dgram_qlen), or the launcher is being replaced.
            log.debug("a start has to wait", path=watched.directory, reason=str(error))
            watched.asked_at = None
            self._retry_soon()
        else:
            watched.asked_at = _now()

    def _request_stop(self, key: AttemptId, request: dict[str, object]) -> None:
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = RunningAttempt(self._journal.directory(key))
        if watched.stop_request is None or request["do"] == "kill":
            watched.stop_request, watched.heard_at = request, 0.0
        self._deliver(key, watched)

    def _deliver(self, key: AttemptId, watched: RunningAttempt) -> None:
        ended = self._stopper.deliver(key, watched, _now())
        if ended is not None:
            self._finish(key, ended)
        elif watched.stop_request is not None and not watched.heard_at:
            self._retry_soon()

    def _retry_soon(self) -> None:
        if self._retry_timer is None:
            self._retry_timer = asyncio.get_running_loop().call_later(RETRY, self._retry)

    def _retry(self) -> None:
        self._retry_timer = None
        for key, watched in list(self._watched.items()):
            if watched.waits_for_shim:
                self._ask(watched)
            elif watched.stop_request is not None and not watched.heard_at:
                self._look(key, watched)
                if key in self._watched:
                    self._deliver(key, watched)

    # Notifications ------------------------------------------------------------------------

    def _heard(self, note: Notification) -> None:
        key = note.key
        watched = self._watched.get(key)
        if watched is None:
            return
        begins = note.pid > 0 and not watched.started
        if begins:
            watched.begin()
        end = note.end(watched.started)
        if end is not None:
            if note.record is not None and not os.path.exists(watched.directory):
                log.error(_REMOVED, path=watched.directory)
            # Of a start that comes with it the end says enough.
            self._finish(key, *end)
            return
        if begins:
            self._report(AttemptStarted(key, note.pid, note.at))
            if watched.stop_request is not None and note.what != "ended":
                self._deliver(key, watched)
        if note.what == "grew":
            self._report(SpoolGrew(key, note.size))
        elif note.what == "ended":
            self._look(key, watched)

    # The truth ---------------------------------------------------------------------------

    def tick(self) -> None:
        """About once a second: look at everything that runs, and at the launcher."""
        if self._journal.mend() | self._shims.revive():
            for watched in self._watched.values():
                if not watched.started and watched.asked_at is not None:
                    self._ask(watched)
        now = _now()
        for key, watched in list(self._watched.items()):
            self._look(key, watched)
            if key not in self._watched:
                continue
            if watched.stop_request is not None:
                self._deliver(key, watched)
            elif watched.refusal is not None and not watched.started:
                self._refuse(key, watched)
            elif watched.asked_at is not None and not watched.started:
                if now - watched.asked_at > UNHEARD:
                    self._ask(watched)
        if self._output_paused:
            self.pause_output(True)
        self._shims.fit(len(self._watched))
        self._ends.tick()

    def _look(self, key: AttemptId, watched: RunningAttempt, again: bool = True) -> None:
        """Report what an attempt's directory says. One that is damaged ends its attempt, and only
        that."""
        try:
            self._read(key, watched)
            watched.unreadable = False
        except FileNotFoundError:
            self._gone(key)
        except OSError as error:
            if again and self._journal.mend():
                self._look(key, watched, again=False)
                return
            if not watched.unreadable:
                path = watched.directory
                log.error(
                    "the directory of an attempt cannot be read", path=path, reason=error.strerror
                )
            watched.unreadable = True
            if error.errno not in HOST_FAULTS:
                self._apply(key, watched, self._journal.abandon(key, str(error.strerror)))

    def _read(self, key: AttemptId, watched: RunningAttempt) -> None:
        seen = look_at(key, watched.directory, watched.started)
        if seen.ended is not None:
            self._finish(key, seen.ended)
        elif not seen.begun:
            if watched.started:
                reason = "another directory is in its place"
                self._apply(key, watched, self._journal.abandon(key, reason))
        elif seen.kept and watched.started:
            self._report(SpoolGrew(key, self._journal.spool(key).size()))
        else:
            self._apply(key, watched, self._journal.look(key))

    def _apply(self, key: AttemptId, watched: RunningAttempt, record: AttemptRecord | None) -> None:
        if record is None:
            self._gone(key)
            return
        if record.started is not None and not watched.started:
            watched.begin()
            self._report(AttemptStarted(key, record.started.pid, record.started.at))
        if record.ended is not None:
            self._finish(key, record.ended)

    def _finish(self, key: AttemptId, ended: Ended, text: str = "") -> None:
        """It has ended; `text`: the same as JSON, if there is that."""
        watched = self._watched.pop(key, None)
        if watched is not None and watched.stop_request is not None:
            ended, text = with_requested_reason(ended, watched), ""
        if self.on_end is not None:
            self.on_end(key)
        self._ends.seen(key)
        self._report(AttemptEnded(key, ended, text))

    def _gone(self, key: AttemptId) -> None:
        """Somebody has taken the directory away: its job is over, and nothing of it is left."""
        log.error(_REMOVED, path=self._journal.directory(key))
        detail = "the attempt's directory was removed from the agent's disk"
        detail += killed_words(self._journal.kill_rest(key, None))
        self._finish(key, ended_from(key, lost(detail, 0, 0, None)))


def _nobody(event: Event) -> None:
    raise AssertionError("open comes before events")


def _now() -> float:
    return asyncio.get_running_loop().time()
