"""What people want of this agent, and what follows for taking jobs. May touch wishes.json only.

There are wishes said on the host (`remote-agent pause`, `drain`) and wishes said on the server;
each is kept where it was said (I7) and the agent obeys the stricter of the two. A local wish
survives restarts; a drain ends with the agent's exit, for then it has come true.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog

from remote_agent.processes import REPLACE, boot_id, boottime, open_file, rename
from remote_protocol.messages import Condition, Wishes

log = structlog.get_logger("wishes")

FILE: Final = "wishes.json"


class Moment(NamedTuple):
    """One moment by the clocks of the host."""

    boot: float
    """Seconds of the clock that never jumps; it starts anew with the host."""
    wall: float
    boot_id: str


def host_moment() -> Moment:
    """Now."""
    return Moment(boottime(), time.time(), boot_id())


@dataclass(frozen=True, slots=True)
class LocalWishes:
    """The wishes said on the host."""

    paused: bool = False
    comment: str = ""
    draining: bool = False
    drain_deadline: float | None = None
    """Seconds from the wish until jobs that still run are cancelled."""


class WishBook:
    """All wishes and hindrances that hold now, and the condition that they add up to."""

    def __init__(self, state_dir: Path, now: Callable[[], Moment] = host_moment) -> None:
        self._file = state_dir / FILE
        self._now = now
        self.local, said = _load(self._file)
        self._said = said or now()
        """When the host's drain was wished for."""
        self._ends = self._end(now())
        self.server = Wishes()
        self.hindrance = ""
        """A sentence while the host itself cannot take jobs (its disk is too full)."""
        self.stopping = False
        """The agent is about to exit."""

    def say(self, local: LocalWishes) -> None:
        """Replace the host's own wishes, durably. OSError when the disk refuses.

        The time of a drain's deadline counts from the wish: other wishes, restarts of the agent
        and of the host do not grant it anew.
        """
        old, now = self.local, self._now()
        same = old.draining and old.drain_deadline == local.drain_deadline
        said = self._said if same else now
        temporary = self._file.with_suffix(".tmp")
        descriptor = open_file(temporary, REPLACE, 0o600)
        with open(descriptor, "w") as file:
            json.dump({"v": 1, **asdict(local), "said": said._asdict()}, file)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, self._file)
        self.local, self._said = local, said
        self._ends = self._end(now)

    def _end(self, now: Moment) -> float | None:
        """When the local drain's deadline is over, by the clock that never jumps."""
        deadline, said = self.local.drain_deadline, self._said
        if not self.local.draining or deadline is None:
            return None
        if said.boot_id == now.boot_id:
            return said.boot + deadline
        # The host was restarted: only its wall clock knows for how long. It may be wrong, but
        # cannot make the time longer than it was.
        return now.boot + min(deadline, max(0.0, deadline - (now.wall - said.wall)))

    def came_true(self) -> None:
        """The agent is drained: the host's own wish for it is over."""
        if self.local.draining:
            self.say(replace(self.local, draining=False, drain_deadline=None))

    @property
    def draining(self) -> bool:
        """Whether anybody wants the agent to finish and exit."""
        return self.local.draining or self.server.draining

    @property
    def local_end(self) -> float | None:
        """When the deadline of the host's own drain is over (CLOCK_BOOTTIME); None without one."""
        return self._ends

    @property
    def server_deadline(self) -> float | None:
        """Seconds until the end of the server's drain, as of when it was last said."""
        return self.server.drain_deadline if self.server.draining else None

    def condition(self) -> Condition:
        """Whether the agent takes jobs, and why not."""
        reason = self._reason()
        return Condition(accepting=not reason, reason=reason[:2000], draining=self.draining)

    @property
    def only_hindered(self) -> bool:
        """Whether nothing but the host's own state keeps it from taking jobs."""
        return bool(self.hindrance) and self._reason() == self.hindrance

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
        return self.hindrance


def _with(text: str, comment: str) -> str:
    return f"{text}: {comment}" if comment else text


def _load(file: Path) -> tuple[LocalWishes, Moment | None]:
    """The wishes, and when a drain among them was said."""
    try:
        known = json.loads(file.read_bytes())
        deadline = known.get("drain_deadline")
        wishes = LocalWishes(
            paused=bool(known.get("paused")),
            comment=str(known.get("comment", "")),
            draining=bool(known.get("draining")),
            drain_deadline=None if deadline is None else float(deadline),
        )
        return wishes, _moment(known.get("said"))
    except FileNotFoundError:
        return LocalWishes(), None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        # Safer not to take jobs than to forget that somebody wished so.
        log.error(
            "the wishes of this host cannot be read; paused until `resume`", reason=str(error)
        )
        comment = f"{file.name} was damaged; resume writes it anew"
        return LocalWishes(paused=True, comment=comment), None


def _moment(said: dict[str, Any] | None) -> Moment | None:
    if said is None:
        return None
    return Moment(float(said["boot"]), float(said["wall"]), str(said["boot_id"]))
