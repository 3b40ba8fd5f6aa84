"""How busy agents' hosts were lately, as their heartbeats said. In memory: an hour and a bit. Pure.

24 bytes a sample and 120 samples an agent at the most: 10,000 agents take some 40 MB.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from math import isnan, nan
from typing import Final, NamedTuple

from remote_protocol.messages import HostLoad

KEPT: Final = 120
"""Samples of an agent."""
CLOSEST: Final = 20.0
"""Seconds between two samples; what comes earlier only replaces the present one."""
_FIELDS: Final = 4


class Sample(NamedTuple):
    """Percentages; None: not known."""

    at: float
    """By the clock of `now`."""
    cpu: float | None
    memory: float | None
    """Of the memory in use."""
    disk: float | None
    """Of the disk in use."""
    load: float | None


class _Host:
    __slots__ = ("latest", "times", "values")

    def __init__(self, latest: HostLoad) -> None:
        self.latest = latest
        self.times = array("d")
        self.values = array("f")


class HostLoads:
    """Those of all agents. `now` is a clock that never jumps."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hosts: dict[str, _Host] = {}

    def add(self, agent: str, load: HostLoad) -> None:
        """An agent's heartbeat said so."""
        host = self._hosts.get(agent)
        if host is None:
            host = self._hosts[agent] = _Host(load)
        host.latest = load
        now = self._now()
        if host.times and now - host.times[-1] < CLOSEST:
            return
        if len(host.times) >= KEPT:
            del host.times[0], host.values[:_FIELDS]
        host.times.append(now)
        memory = _used(load.memory_free, load.memory_total)
        disk = _used(load.disk_free, load.disk_total)
        for value in (load.cpu, memory, disk, load.load):
            host.values.append(nan if value is None else value)

    def latest(self, agent: str) -> HostLoad | None:
        """What was said last; None for nothing."""
        host = self._hosts.get(agent)
        return None if host is None else host.latest

    def since(self, agent: str, seconds: float) -> list[Sample]:
        """What was said in the last so many seconds, the oldest first."""
        host = self._hosts.get(agent)
        if host is None:
            return []
        first = self._now() - seconds
        return [
            Sample(at, *(_known(host.values[number * _FIELDS + field]) for field in range(_FIELDS)))
            for number, at in enumerate(host.times)
            if at >= first
        ]

    def forget(self, agent: str) -> None:
        """There is no such agent any more."""
        self._hosts.pop(agent, None)


def _used(free: int | None, total: int | None) -> float | None:
    return None if free is None or not total else 100 * (1 - min(free, total) / total)


def _known(value: float) -> float | None:
    return None if isnan(value) else value
