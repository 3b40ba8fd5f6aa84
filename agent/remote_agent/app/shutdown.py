"""When and how the agent exits: drained, restarted, stopped by a signal, after its job, or idle.

No I/O.

It may exit when it holds no attempt any more, or at once, as `on_stop` says: shims and jobs run on
without it, and the next start finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple

import structlog

from remote_agent.local.desired_state import DesiredState
from remote_agent.processes import boottime
from remote_agent.sections import AgentPart
from remote_agent.session.machine import Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase
from remote_protocol.states import EndReason
from remote_protocol.units import format_duration

log = structlog.get_logger("agent")

HANDSHAKE: Final = 1.0
"""Seconds between telling the server that no more jobs are taken and exiting: an offer that was
on its way meanwhile is read and refused, so that it need not time out."""
DELIVERY_TIMEOUT: Final = 10.0
"""Seconds that cancelled jobs' ends may take to reach the server when the agent is stopped."""

OnStop = Literal["leave", "drain", "cancel"]
Stop = Callable[[AttemptId, EndReason, str], None]


class Lifetime(NamedTuple):
    """What ends this run of the agent by itself."""

    once: bool = False
    """It ends after one job."""
    idle_timeout: float | None = None
    """It ends after so many seconds without a job, from the first connection on; None: never."""


FOREVER: Final = Lifetime()


class Shutdown:
    """Decides about the agent's exit; `reason` says why it is time, empty while it is not.

    What it changes in the desired state, the session driver must be told by `reconsider`.
    """

    def __init__(
        self,
        session: Session,
        desired: DesiredState,
        stop: Stop,
        lifetime: Lifetime = FOREVER,
        now: Callable[[], float] = boottime,
    ) -> None:
        self.reason = ""
        self.on_stop: OnStop = "leave"
        self.stop_timeout: float | None = None
        self.signalled = False
        self.restart = False
        """It is to start again at once: somebody asked the server for that."""
        self.unsent: Callable[[], int] = int
        """How many attempts have artifacts that are not sent."""
        self._session = session
        self._desired = desired
        self._stop = stop
        self._lifetime = lifetime
        self._now = now
        self._delivery_timeout = DELIVERY_TIMEOUT
        self._finishing = ""
        """Why the agent finishes what it holds and then exits."""
        self._could_work = False
        """It could take jobs, or held some: only then can it become drained."""
        self._idle_since: float | None = None
        """When it had its last job, or was connected first."""
        self._since: float | None = None
        self._server_deadline: tuple[float | None, float | None] = (None, None)
        """The server's, as last received, and when it is over."""
        self._stop_at: float | None = None
        """When a drain that a signal began has lasted long enough."""
        self._ended_all: float | None = None
        """When everything that ran was told to end."""

    def obey(self, part: AgentPart) -> None:
        """Do from now on what the configuration says about signals to stop."""
        self.on_stop, self.stop_timeout = part.on_stop, part.stop_timeout

    def signal(self, orphaned: bool = False) -> bool:
        """Somebody wants the agent to stop; False the second time: then it exits at once.

        `orphaned`: the server was its parent and is gone; the ends of jobs wait for the next start.
        """
        if self.signalled:
            return False
        self.signalled = True
        held = len(self._session.attempts)
        log.info("stopping", on_stop=self.on_stop, attempts=held)
        self._desired.stopping = True
        self._finishing = "stopped"
        if orphaned:
            self._delivery_timeout = 0.0
        if self.on_stop == "leave" or not held:
            self.reason = "stopped; jobs run on" if held else "stopped"
        elif self.on_stop == "cancel":
            self._end_all(EndReason.CANCELLED, "the agent was stopped")
        else:
            self._stop_at = None if self.stop_timeout is None else self._now() + self.stop_timeout
        return True

    def _end_all(self, reason: EndReason, detail: str) -> None:
        self._ended_all = self._now()
        for key, attempt in self._session.attempts.items():
            if attempt.phase is not Phase.ENDED:
                self._stop(key, reason, detail)

    def attempt_taken(self) -> bool:
        """An attempt was taken; whether the desired state has changed by that: with `--once` it
        was the only one."""
        self._could_work = True
        if not self._lifetime.once or self._finishing:
            return False
        self._finish("its one job is done")
        return True

    def check(self) -> None:
        """About once a second: is it time to exit?"""
        now, desired = self._now(), self._desired
        held = self._session.attempts
        asked = desired.server.restart
        if asked and asked == self._session.process and not self._finishing:
            # Once for each request: the next process has another name.
            self.restart = True
            self.reason = "restarted by the server; jobs run on"
            return
        if held or (self._session.welcomed and desired.condition().accepting):
            self._could_work = True
        self._watch_idleness(now)
        # Drained from the server before this start: the operator's `resume` must find us.
        draining = desired.draining and (self._could_work or desired.local.draining)
        if not draining and not self._finishing:
            self._since, self._server_deadline = None, (None, None)
            return
        if self._since is None:
            self._since = now
        self._apply_deadline(now)
        ended = all(attempt.phase is Phase.ENDED for attempt in held.values())
        told = self._ended_all if self._finishing else None
        late = told is not None and now - told > self._delivery_timeout
        if now - self._since >= HANDSHAKE and (not (held or self.unsent()) or (ended and late)):
            self.reason = self._finishing or "drained"

    def _watch_idleness(self, now: float) -> None:
        if self._session.attempts or (self._idle_since is None and self._session.welcomed):
            self._idle_since = now
        timeout, since = self._lifetime.idle_timeout, self._idle_since
        if timeout is None or since is None or self._finishing:
            return
        if now - since >= timeout:
            self._finish(f"no job for {format_duration(timeout)}")

    def _finish(self, why: str) -> None:
        """Take no more jobs, and exit when none is held any more."""
        self._finishing = why
        self._desired.stopping = True

    def _apply_deadline(self, now: float) -> None:
        given = self._desired.server_deadline
        if given != self._server_deadline[0]:
            # The server says at each welcome how much of it is left.
            self._server_deadline = (given, None if given is None else now + given)
        ends = [at for at in (self._desired.local_end, self._server_deadline[1]) if at is not None]
        if self._ended_all is not None:
            return
        if ends and now >= min(ends):
            log.warning("the deadline of the drain has passed; cancelling the jobs that still run")
            self._end_all(EndReason.CANCELLED, "the deadline of the agent's drain has passed")
        elif self._stop_at is not None and now >= self._stop_at:
            # Nobody wants these jobs to end: whoever stops the agent is about to kill it.
            log.warning("the time to stop is over; the jobs that still run are lost")
            self._end_all(EndReason.LOST, "the agent was stopped, and the job did not end in time")
