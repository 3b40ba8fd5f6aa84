"""The room that is left on the disk for what must always be written: the ends of jobs.

Logs grow as fast as jobs print, so they stop first: below the reserve no log byte and no new job
is taken. Agents hold what is not acknowledged, their jobs wait, and it goes on when there is room
again. Asks the disk, and writes a line to the log when the answer changes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import structlog

from remote_protocol.errors import ErrorCode
from remote_protocol.units import format_size
from remote_server.errors import ServerError

SHARE: Final = 20
"""The reserve is at most this part of the disk: a small one must be of use, too."""
BACK: Final = 1.05
"""How much more than the reserve must be free before anything is taken again: no flapping."""
_LOOK: Final = 0.5
"""Seconds between two questions to the disk, unless many bytes were written meanwhile."""
_MUCH: Final = 8
"""Many are this part of the reserve."""


class Disk(NamedTuple):
    """Sizes in bytes."""

    size: int
    free: int


class DiskLow(ServerError):
    """There is too little room on the disk to take a job."""

    code = ErrorCode.STORE_UNAVAILABLE
    retry_after: ClassVar[int] = 30


class Reserve:
    """Watches the disk below `root`; `wanted` bytes of it are kept free."""

    def __init__(
        self,
        root: Path,
        wanted: int,
        measure: Callable[[], Disk] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._wanted = wanted
        self._measure = measure or self._ask
        self._now = now
        self._looked_at: float | None = None
        self._unseen = 0
        self._limit = 0
        self.free = 0
        """Bytes that were free at the last look."""
        self._short = False
        self._log = structlog.get_logger("remote_server.reserve")

    def written(self, size: int) -> None:
        """So many bytes were written: when they are many, the next question asks the disk."""
        self._unseen += size

    def lack(self) -> str:
        """Why nothing can be taken now, in words; empty when there is room."""
        now, many = self._now(), self._unseen * _MUCH >= self._limit
        if self._looked_at is None or now - self._looked_at >= _LOOK or (self._unseen and many):
            self._looked_at, self._unseen = now, 0
            with suppress(OSError):  # whoever writes will say so: the answer stays
                self._look()
        if not self._short:
            return ""
        limit, free = format_size(self._limit), format_size(self.free)
        return f"the server's disk is below its reserve: {free} free of {limit} in {self._root}"

    def require(self) -> None:
        """DiskLow when there is no room for more jobs."""
        if lack := self.lack():
            raise DiskLow(f"{lack}; no jobs are taken until there is room")

    def _look(self) -> None:
        size, self.free = self._measure()
        self._limit = min(self._wanted, size // SHARE)
        short = self.free < self._limit * (BACK if self._short else 1)
        if short != self._short:
            self._short = short
            say = self._log.warning if short else self._log.info
            say(
                "the disk is below its reserve; no logs and no jobs are taken"
                if short
                else "the disk has room again",
                free=self.free,
                reserve=self._limit,
            )

    def _ask(self) -> Disk:
        found = os.statvfs(self._root)
        return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
