"""Looks now and then at how busy the host is, for the next heartbeat. Reads what `processes` does.

Costs 0.1 ms each 30 s, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from remote_agent.processes import free_disk, free_memory, load_average, processor_ticks
from remote_protocol.messages import HostLoad

EVERY: Final = 30.0
"""Seconds between two looks."""


class HostWatch:
    """`folder` is on the disk that jobs fill."""

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = str(folder)
        self._now = now
        self._ticks = processor_ticks()
        self._next = now() + EVERY

    def turn(self) -> HostLoad | None:
        """About a second went by: what there is to say, when it is time to."""
        if self._now() < self._next:
            return None
        self._next = self._now() + EVERY
        before, self._ticks = self._ticks, processor_ticks()
        busy = None
        if before is not None and self._ticks is not None and self._ticks.all > before.all:
            share = (self._ticks.busy - before.busy) / (self._ticks.all - before.all)
            busy = round(min(100.0, max(0.0, 100 * share)), 1)
        room, space, average = free_memory(), free_disk(self._folder), load_average()
        return HostLoad(
            cpu=busy,
            memory_free=None if room is None else room.free,
            memory_total=None if room is None else room.all,
            disk_free=None if space is None else space.free,
            disk_total=None if space is None else space.all,
            load=None if average is None else round(min(average, 1e6), 2),
        )
