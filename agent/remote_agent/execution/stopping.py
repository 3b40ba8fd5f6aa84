"""Has jobs end: says wishes to their shims, and carries them out past shims that cannot be told.

Touches the shims' sockets, and processes of jobs whose shim cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from remote_agent.journal import Journal
from remote_agent.journal.directory import ended_from
from remote_agent.journal.unstarted import forestall
from remote_agent.processes import alive, continue_stopped, interrupt
from remote_agent.shim.launcher_client import tell
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Ended
from remote_protocol.states import EndReason

log = structlog.get_logger("runner")

REPEAT: Final = 5.0
"""Seconds between two sayings of the same wish to a shim that has heard it."""
DEAF: Final = 3.0
"""Seconds for which nobody takes a wish, though something runs, until it is carried out past the
shim; and between two looks at that."""


@dataclass(slots=True)
class Watched:
    """One attempt that has not ended."""

    directory: Path
    started: bool = False
    asked_at: float | None = None
    """When its start was asked for last, by the loop's clock; None: not yet or not by us."""
    wish: dict[str, object] | None = None
    wished_at: float = 0.0
    """When the wish was last heard by its shim."""
    deaf_since: float | None = None
    """Since when nobody takes the wish; None: it is heard."""
    forced_at: float | None = None
    """When the job was interrupted past its shim."""
    blind: bool = False
    """Its directory could not be looked at, which was said."""


class Stopper:
    """Says each attempt's wish until it has ended. `now` is the loop's clock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def say(self, key: AttemptId, watched: Watched, now: float) -> Ended | None:
        """Say the wish, if it is time to; the end of an attempt that will never begin."""
        wish = watched.wish
        if wish is None or (now - watched.wished_at < REPEAT and watched.wished_at):
            return None
        heard_before = bool(watched.wished_at)
        if tell(watched.directory, wish):
            watched.wished_at, watched.deaf_since = now, None
            if heard_before:
                self._rouse(key)
            return None
        # Nobody listens: not begun yet, or over already, or in the moment between.
        if not watched.started:
            reason = EndReason(str(wish["reason"]))
            body = forestall(watched.directory, reason, str(wish["detail"]))
            if body is not None:
                return ended_from(key, body)
        if watched.deaf_since is None:
            watched.deaf_since = now
        elif now - watched.deaf_since >= DEAF:
            watched.deaf_since = now
            self._overrule(key, watched, now)
        return None

    def _rouse(self, key: AttemptId) -> None:
        """Have a shim that was stopped go on: it has heard a wish and not obeyed for long.

        It is not killed instead: it may hold output that a full disk does not take yet.
        """
        record = self._journal.look(key)
        if record is not None and record.started is not None and record.ended is None:
            continue_stopped(record.started.shim_pid)

    def _overrule(self, key: AttemptId, watched: Watched, now: float) -> None:
        """End a job whose shim cannot be told: its socket was taken away."""
        record = self._journal.look(key)
        if record is None or record.started is None or record.ended is not None:
            return
        wish, spec = watched.wish or {}, record.offer.spec if record.offer else None
        polite = spec is not None and wish.get("do") == "stop" and spec.grace_period > 0
        if watched.forced_at is None:
            log.warning("a shim cannot be told; its job is ended past it", attempt=str(key))
            watched.forced_at = now
            if polite and spec is not None:
                if alive(record.started.pid, record.started.start_time):
                    interrupt(record.started.pid, spec.stop_signal)
                return
        elif polite and spec is not None and now - watched.forced_at < spec.grace_period:
            return
        self._journal.kill_rest(key, record.started)


def as_wished(ended: Ended, watched: Watched) -> Ended:
    """The end of a job, as wished when it was ended past its shim, which does not know why."""
    wish = watched.wish
    by_force = watched.forced_at is not None and wish is not None
    if not by_force or wish is None or ended.end_reason not in (EndReason.SIGNAL, EndReason.EXIT):
        return ended
    detail = f"{wish['detail'] or 'cancelled'}; {ended.end_detail}"[:MAX_TEXT]
    reason = EndReason(str(wish["reason"]))
    return ended.model_copy(update={"end_reason": reason, "end_detail": detail})
