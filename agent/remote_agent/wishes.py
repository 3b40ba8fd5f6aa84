"""What people want of this agent, and what follows for taking jobs. May touch wishes.json only.

There are wishes said on the host (`remote-agent pause`, `drain`) and wishes said on the server;
each is kept where it was said (I7) and the agent obeys the stricter of the two. A local wish
survives restarts; a drain ends with the agent's exit, for then it has come true.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from remote_protocol.messages import Condition, Wishes

log = structlog.get_logger("wishes")

FILE: Final = "wishes.json"


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

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / FILE
        self.local = _load(self._file)
        self.server = Wishes()
        self.hindrance = ""
        """A sentence while the host itself cannot take jobs (its disk is too full)."""
        self.stopping = False
        """The agent is about to exit."""

    def say(self, local: LocalWishes) -> None:
        """Replace the host's own wishes, durably. OSError when the disk refuses."""
        temporary = self._file.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            json.dump({"v": 1, **asdict(local)}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._file)
        self.local = local

    def came_true(self) -> None:
        """The agent is drained: the host's own wish for it is over."""
        if self.local.draining:
            self.say(replace(self.local, draining=False, drain_deadline=None))

    @property
    def draining(self) -> bool:
        """Whether anybody wants the agent to finish and exit."""
        return self.local.draining or self.server.draining

    @property
    def deadline(self) -> float | None:
        """The shorter deadline of the drains that hold, in seconds from the wish."""
        given = [
            wish.drain_deadline
            for wish in (self.local, self.server)
            if wish.draining and wish.drain_deadline is not None
        ]
        return min(given, default=None)

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


def _load(file: Path) -> LocalWishes:
    try:
        known = json.loads(file.read_bytes())
        deadline = known.get("drain_deadline")
        return LocalWishes(
            paused=bool(known.get("paused")),
            comment=str(known.get("comment", "")),
            draining=bool(known.get("draining")),
            drain_deadline=None if deadline is None else float(deadline),
        )
    except FileNotFoundError:
        return LocalWishes()
    except (ValueError, TypeError, AttributeError) as error:
        # Safer not to take jobs than to forget that somebody wished so.
        log.error(
            "the wishes of this host cannot be read; paused until `resume`", reason=str(error)
        )
        return LocalWishes(paused=True, comment=f"{file.name} was damaged; resume writes it anew")
