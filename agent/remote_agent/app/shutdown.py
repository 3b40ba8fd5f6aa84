"""When and how the agent leaves: drained, stopped by a signal, or after its one job. No I/O.

It may leave when nothing is held any more, or at once, as `on_stop` says: shims and jobs run on
without it, and the next start finds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import structlog

from remote_agent.app.driver import Host
from remote_agent.processes import boottime
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase
from remote_protocol.states import EndReason

log = structlog.get_logger("agent")

HANDSHAKE: Final = 1.0
"""Seconds between telling the server that no more jobs are taken and leaving: an offer that was
on its way meanwhile is read and refused, so that it need not time out."""
SETTLE: Final = 10.0
"""Seconds that cancelled jobs' ends may take to reach the server when the agent is stopped."""

OnStop = Literal["leave", "drain", "cancel"]
Stop = Callable[[AttemptId, EndReason, str], None]


class Leaving:
    """Watches over the agent's end; `reason` says why it is time to go, empty while it is not."""

    def __init__(
        self,
        host: Host,
        stop: Stop,
        on_stop: OnStop,
        once: bool = False,
        now: Callable[[], float] = boottime,
    ) -> None:
        self.reason = ""
        self._host = host
        self._stop = stop
        self.on_stop: OnStop = on_stop
        self._once = once
        self._now = now
        self.signalled = False
        self._settle = SETTLE
        self._finishing = ""
        """Why the agent finishes what it holds and then goes."""
        self._worked = False
        """It could take jobs, or held some: only then can it become drained."""
        self._since: float | None = None
        self._deadline: tuple[float | None, float | None] = (None, None)
        """The server's, as last said, and when it is over."""
        self._cancelled = False

    def signal(self, orphaned: bool = False) -> bool:
        """Somebody wants the agent to stop; False the second time: then it goes at once.

        `orphaned`: the server was its parent and is gone; the ends of jobs wait for the next start.
        """
        if self.signalled:
            return False
        self.signalled = True
        held = len(self._host.session.attempts)
        log.info("stopping", on_stop=self.on_stop, attempts=held)
        self._host.wishes.stopping = True
        self._finishing = "stopped"
        if orphaned:
            self._settle = 0.0
        if self.on_stop == "leave" or not held:
            self.reason = "stopped; jobs run on" if held else "stopped"
        elif self.on_stop == "cancel":
            self.cancel_all("the agent was stopped")
        self._host.reconsider()
        return True

    def cancel_all(self, detail: str) -> None:
        """End everything that runs."""
        self._cancelled = True
        for key, attempt in self._host.session.attempts.items():
            if attempt.phase is not Phase.ENDED:
                self._stop(key, EndReason.CANCELLED, detail)

    def took(self) -> None:
        """An attempt was taken: with `--once` it was the only one."""
        self._worked = True
        if self._once and not self._finishing:
            self._finishing = "its one job is done"
            self._host.wishes.stopping = True
            self._host.reconsider()

    def look(self) -> None:
        """About once a second: is it time to go?"""
        host, now = self._host, self._now()
        wishes = host.wishes
        held = host.session.attempts
        if held or (host.session.welcomed and wishes.condition().accepting):
            self._worked = True
        if wishes.draining and not self._finishing:
            # Drained from the server before this start: the operator's `resume` must find us.
            draining = self._worked or wishes.local.draining
        else:
            draining = False
        if not draining and not self._finishing:
            self._since, self._deadline = None, (None, None)
            return
        if self._since is None:
            self._since = now
        self._obey_deadline(now)
        ended = all(attempt.phase is Phase.ENDED for attempt in held.values())
        late = self._cancelled and self._finishing and now - self._since > self._settle
        if now - self._since >= HANDSHAKE and (not held or (ended and late)):
            self.reason = self._finishing or "drained"

    def _obey_deadline(self, now: float) -> None:
        wishes = self._host.wishes
        given = wishes.server_deadline
        if given != self._deadline[0]:
            # The server says at each welcome how much of it is left.
            self._deadline = (given, None if given is None else now + given)
        ends = [at for at in (wishes.local_end, self._deadline[1]) if at is not None]
        if ends and now >= min(ends) and not self._cancelled:
            log.warning("the drain's deadline has passed; cancelling what still runs")
            self.cancel_all("the deadline of the agent's drain has passed")
