"""When the server was last there: one file, written by the agent, read by the shims of all jobs
that must not outlive the contact by long (`stop_after`).

The moment is the file's modification time, in seconds of the boot clock, which nobody can set and
which counts the host's sleep. So it needs no room on the disk, and nobody can read half of it.
The content is the id of the boot to which that clock belongs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from remote_agent.processes import READ, REPLACE, boot_id, boottime, open_file, rename
from remote_protocol.units import format_duration

_MIN_INTERVAL: Final = 1.0
"""Seconds between two notes of the agent at the least."""
_MAX_INTERVAL: Final = 5.0
"""Seconds between two looks of a shim at the most: poll(2) does not count the host's sleep."""
_LARGEST: Final = 256
_NS: Final = 1_000_000_000


class ContactNote:
    """The agent's side of the file. A new agent keeps what a former one has noted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = -_MIN_INTERVAL
        self._ready = False

    def note(self, at: float) -> None:
        """The server has answered what was sent `at` this moment of the boot clock. OSError."""
        if at - self._noted < _MIN_INTERVAL:
            return
        if not self._ready:
            self._prepare(boot_id())
            self._ready = True
        os.utime(self._path, ns=(0, int(at * _NS)))
        self._noted = at

    def _prepare(self, boot: str) -> None:
        """Have the file be of this boot, with no contact in it that is not."""
        with suppress(OSError):
            if _read(self._path)[0] == boot:
                return
        fresh = self._path.with_suffix(".new")
        descriptor = open_file(fresh, REPLACE, 0o600)
        try:
            os.write(descriptor, boot.encode())
        finally:
            os.close(descriptor)
        os.utime(fresh, ns=(0, 0))
        rename(fresh, self._path)


class Absence:
    """A shim's watch on the file. Where no agent has noted anything in this boot, the absence
    begins with the watch."""

    def __init__(self, path: str, limit: float, boot: str) -> None:
        self._path = path
        self._limit = limit
        self._boot = boot
        self._begin = boottime()
        self.check_at: float | None = 0.0
        """When to look again, in monotonic seconds; None for never."""

    def expired(self, now: float) -> str | None:
        """Why the job must end, when the server was away for too long; None while it need not."""
        if self.check_at is None or now < self.check_at:
            return None
        away = boottime() - self._last_contact()
        if away < self._limit:
            self.check_at = now + min(self._limit - away, _MAX_INTERVAL)
            return None
        self.check_at = None
        return f"stopped: the server was away for {format_duration(away)}"

    def _last_contact(self) -> float:
        try:
            boot, moment = _read(self._path)
        except OSError:
            return self._begin
        return moment if boot == self._boot else self._begin


def _read(path: str | Path) -> tuple[str, float]:
    """The boot's id in the file, and the moment. OSError when it cannot be read."""
    descriptor = open_file(path, READ)
    try:
        boot = os.read(descriptor, _LARGEST).decode(errors="replace")
        return boot, os.fstat(descriptor).st_mtime_ns / _NS
    finally:
        os.close(descriptor)
