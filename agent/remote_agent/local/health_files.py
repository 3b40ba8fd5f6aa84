"""Files that show others how the agent is, for probes of containers: `find FILE -mmin -1`, or
`remote-agent status --check`. May touch those files, and their folder.

Each is new while what it says is true, and gone when the agent has ended. One that a killed agent
has left grows old.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from remote_agent.errors import os_words
from remote_agent.processes import NEW, open_file, rename, set_mode
from remote_agent.sections import TelemetryPart

log = structlog.get_logger("agent")

EVERY: Final = 5.0
"""Seconds between two writes."""
OLDEST: Final = 60.0
"""Seconds after which a file that was not written again says nothing any more."""


class HealthFiles:
    """The liveness file, new while `turn` is called, and the readiness file, there while the agent
    is connected."""

    def __init__(self, wanted: TelemetryPart) -> None:
        self._wanted = wanted
        self._turn_at = 0.0
        self._ready = False
        self._unwritable: set[Path] = set()

    def turn(self, now: float, ready: bool) -> None:
        """The event loop turns. `now` is a clock that never jumps."""
        if now < self._turn_at and ready == self._ready:
            return
        self._turn_at, self._ready = now + EVERY, ready
        self._have(self._wanted.liveness_file, True)
        self._have(self._wanted.readiness_file, ready)

    def move(self, wanted: TelemetryPart) -> None:
        """Write other files from the next turn on."""
        if wanted != self._wanted:
            self.remove()
            self._wanted = wanted

    def remove(self) -> None:
        """The agent has ended."""
        self._turn_at = 0.0
        self._have(self._wanted.liveness_file, False)
        self._have(self._wanted.readiness_file, False)

    def _have(self, path: Path | None, there: bool) -> None:
        if path is None:
            return
        try:
            if there:
                _write(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            if path not in self._unwritable:
                self._unwritable.add(path)
                log.warning(
                    "a file for probes cannot be kept; whoever looks at it takes this agent for"
                    " dead: name another place in [telemetry]",
                    reason=os_words(error, path),
                )
        else:
            self._unwritable.discard(path)


def fresh(path: Path | None) -> bool:
    """Whether an agent has written this file a short time ago."""
    with suppress(OSError):
        return path is not None and time.time() - path.stat().st_mtime < OLDEST
    return False


def _write(path: Path) -> None:
    """Replaced as a whole: nobody reads a half of it, and no link is followed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = open_file(temporary, NEW, 0o644)
    with open(descriptor, "w") as file:
        set_mode(descriptor, 0o644)  # whatever the umask: probes may be other users
        file.write(f"{os.getpid()}\n")
    rename(temporary, path)
