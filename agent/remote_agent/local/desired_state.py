"""What people want of this agent, and what follows for taking jobs. May touch desired_state.json.

It is asked for on the host (`remote-agent pause`, `drain`) and on the server; each request is kept
where it was made (I7) and the agent obeys the stricter of the two. A request on the host survives
restarts; a drain ends with the agent's exit, which completes it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from remote_agent.processes import REPLACE, boot_id, boottime, open_file, rename
from remote_protocol.messages import Condition, DesiredMode

log = structlog.get_logger("desired_state")

FILE: Final = "desired_state.json"


class ClockReading(NamedTuple):
    """One moment by the clocks of the host."""

    boot: float
    """Seconds of the clock that never jumps; it starts at zero with the host."""
    wall: float
    boot_id: str


def read_clocks() -> ClockReading:
    """Now."""
    return ClockReading(boottime(), time.time(), boot_id())


class LocalRequest(NamedTuple):
    """What was asked for on the host."""

    paused: bool = False
    comment: str = ""
    draining: bool = False
    drain_deadline: float | None = None
    """Seconds from the request until jobs that still run are cancelled."""


class DesiredState:
    """All requests and blocked reasons that hold now, and the condition that follows from them."""

    def __init__(self, state_dir: Path, now: Callable[[], ClockReading] = read_clocks) -> None:
        self._file = state_dir / FILE
        self._now = now
        self.local, requested_at = _load(self._file)
        self._requested_at = requested_at or now()
        """When the host's drain was asked for."""
        self._local_end = self._end(now())
        self.server = DesiredMode()
        self.blocked_reason = ""
        """A sentence while the host itself cannot take jobs (its disk is too full)."""
        self.stopping = False
        """The agent is about to exit."""

    def set_local(self, local: LocalRequest) -> None:
        """Replace the host's own request, durably. OSError when the disk refuses.

        A drain's deadline counts from its request: other requests, restarts of the agent and of
        the host do not extend it.
        """
        old, now = self.local, self._now()
        same = old.draining and old.drain_deadline == local.drain_deadline
        at = self._requested_at if same else now
        temporary = self._file.with_suffix(".tmp")
        descriptor = open_file(temporary, REPLACE, 0o600)
        with open(descriptor, "w") as file:
            json.dump({"v": 1, **local._asdict(), "requested_at": at._asdict()}, file)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, self._file)
        self.local, self._requested_at = local, at
        self._local_end = self._end(now)

    def block(self, reason: str) -> None:
        """The host itself cannot take jobs; an empty `reason`: it can again."""
        self.blocked_reason = reason

    def _end(self, now: ClockReading) -> float | None:
        """When the local drain's deadline is over, by the clock that never jumps."""
        deadline, at = self.local.drain_deadline, self._requested_at
        if not self.local.draining or deadline is None:
            return None
        if at.boot_id == now.boot_id:
            return at.boot + deadline
        # The host was restarted: only its wall clock knows for how long. It may be wrong, but
        # cannot make the time longer than it was.
        return now.boot + min(deadline, max(0.0, deadline - (now.wall - at.wall)))

    def end_local_drain(self) -> None:
        """The agent is drained: the host's own request for it is complete."""
        if self.local.draining:
            self.set_local(self.local._replace(draining=False, drain_deadline=None))

    @property
    def draining(self) -> bool:
        """Whether anybody wants the agent to finish and exit."""
        return self.local.draining or self.server.draining

    @property
    def local_end(self) -> float | None:
        """When the deadline of the host's own drain is over (CLOCK_BOOTTIME); None without one."""
        return self._local_end

    @property
    def server_deadline(self) -> float | None:
        """Seconds until the end of the server's drain, as of its last message about it."""
        return self.server.drain_deadline if self.server.draining else None

    def condition(self) -> Condition:
        """Whether the agent takes jobs, and why not."""
        reason = self._reason()
        return Condition(accepting=not reason, reason=reason[:2000], draining=self.draining)

    @property
    def only_blocked(self) -> bool:
        """Whether nothing but the host's own state keeps it from taking jobs."""
        return bool(self.blocked_reason) and self._reason() == self.blocked_reason

    def _reason(self) -> str:
        if self.stopping:
            return "the agent is stopping"
        if self.draining:
            where = "on the host" if self.local.draining else "by the server"
            return f"draining, as asked for {where}"
        if self.local.paused:
            return _with("paused on the host", self.local.comment)
        if self.server.paused:
            return _with("paused", self.server.comment)
        return self.blocked_reason


def _with(text: str, comment: str) -> str:
    return f"{text}: {comment}" if comment else text


def _load(file: Path) -> tuple[LocalRequest, ClockReading | None]:
    """The request, and when a drain in it was asked for."""
    try:
        known = json.loads(file.read_bytes())
        deadline = known.get("drain_deadline")
        request = LocalRequest(
            paused=bool(known.get("paused")),
            comment=str(known.get("comment", "")),
            draining=bool(known.get("draining")),
            drain_deadline=None if deadline is None else float(deadline),
        )
        return request, _clocks(known["requested_at"]) if known.get("draining") else None
    except FileNotFoundError:
        return LocalRequest(), None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        # Safer not to take jobs than to forget that somebody asked for that.
        log.error(
            "the file that keeps pause and drain cannot be read; paused until remote-agent resume",
            path=str(file),
            reason=str(error),
        )
        comment = f"{file.name} was damaged; remote-agent resume writes a new one"
        return LocalRequest(paused=True, comment=comment), None


def _clocks(reading: dict[str, Any]) -> ClockReading:
    return ClockReading(float(reading["boot"]), float(reading["wall"]), str(reading["boot_id"]))
