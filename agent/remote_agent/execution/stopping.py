"""Ends jobs: tells their shims, and ends them past shims that cannot be told.

Touches the shims' sockets, and processes of jobs whose shim cannot be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from remote_agent.journal import Journal
from remote_agent.journal.directory import ended_from
from remote_agent.journal.unstarted import end_before_start
from remote_agent.processes import alive, continue_stopped, interrupt
from remote_agent.shim.launcher_client import tell
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Ended
from remote_protocol.states import EndReason

log = structlog.get_logger("runner")

REPEAT: Final = 5.0
"""Seconds until a request is repeated to a shim that has heard it."""
UNHEARD_FOR: Final = 3.0
"""Seconds for which nobody takes a request, though something runs, until the job is ended past its
shim; and between two looks at that."""


@dataclass(slots=True)
class RunningAttempt:
    """One attempt that has not ended."""

    directory: str
    started: bool = False
    asked_at: float | None = None
    """When its start was asked for last, by the loop's clock; None: not yet or not by us."""
    secrets: Mapping[str, str] | None = field(default=None, repr=False)
    """Values for each request of its start, until it has started; in memory only."""
    refusal: tuple[EndReason, str] | None = None
    """Why it must not start, with a sentence; None: it may."""
    stop_request: dict[str, object] | None = None
    heard_at: float = 0.0
    """When its shim has heard the request last."""
    unheard_since: float | None = None
    """Since when nobody takes the request; None: it is heard."""
    forced_at: float | None = None
    """When the job was interrupted past its shim."""
    unreadable: bool = False
    """Its directory could not be looked at, which was logged."""

    @property
    def waits_for_shim(self) -> bool:
        """Whether its start is still to be asked for."""
        wanted = self.stop_request is None and self.refusal is None
        return wanted and self.asked_at is None and not self.started

    def begin(self) -> None:
        """Its process exists: nobody needs the values of its secrets any more."""
        self.started, self.secrets = True, None


class Stopper:
    """Delivers each attempt's request to stop until it has ended. `now` is the loop's clock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def deliver(self, key: AttemptId, watched: RunningAttempt, now: float) -> Ended | None:
        """Tell its shim, if it is time to; the end of an attempt that will never begin."""
        request = watched.stop_request
        if request is None or (now - watched.heard_at < REPEAT and watched.heard_at):
            return None
        heard_before = bool(watched.heard_at)
        if tell(watched.directory, request):
            watched.heard_at, watched.unheard_since = now, None
            if heard_before:
                self._continue_shim(key)
            return None
        # Nobody listens: not begun yet, or over already, or in the moment between.
        if not watched.started:
            reason = EndReason(str(request["reason"]))
            body = end_before_start(Path(watched.directory), reason, str(request["detail"]))
            if body is not None:
                return ended_from(key, body)
        if watched.unheard_since is None:
            watched.unheard_since = now
        elif now - watched.unheard_since >= UNHEARD_FOR:
            watched.unheard_since = now
            self._end_past_shim(key, watched, now)
        return None

    def _continue_shim(self, key: AttemptId) -> None:
        """Have a shim that was stopped go on: it has heard a request and not obeyed for long.

        It is not killed instead: it may hold output that a full disk does not take yet.
        """
        record = self._journal.look(key)
        if record is not None and record.started is not None and record.ended is None:
            continue_stopped(record.started.shim_pid)

    def _end_past_shim(self, key: AttemptId, watched: RunningAttempt, now: float) -> None:
        """End a job whose shim cannot be told: its socket was taken away."""
        record = self._journal.look(key)
        if record is None or record.started is None or record.ended is not None:
            return
        request, spec = watched.stop_request or {}, record.offer.spec if record.offer else None
        polite = spec is not None and request.get("do") == "stop" and spec.grace_period > 0
        if watched.forced_at is None:
            log.warning(
                "the shim of a job cannot be reached; the job is ended without it",
                attempt=str(key),
            )
            watched.forced_at = now
            if polite and spec is not None:
                if alive(record.started.pid, record.started.start_time):
                    interrupt(record.started.pid, spec.stop_signal)
                return
        elif polite and spec is not None and now - watched.forced_at < spec.grace_period:
            return
        self._journal.kill_rest(key, record.started)


def with_requested_reason(ended: Ended, watched: RunningAttempt) -> Ended:
    """The end of a job; with the reason of the request when it was ended past its shim, which does
    not know it."""
    request = watched.stop_request
    if request is None or watched.forced_at is None:
        return ended
    if ended.end_reason not in (EndReason.SIGNAL, EndReason.EXIT):
        return ended
    detail = f"{request['detail'] or 'cancelled'}; {ended.end_detail}"[:MAX_TEXT]
    reason = EndReason(str(request["reason"]))
    return ended.model_copy(update={"end_reason": reason, "end_detail": detail})
