"""How busy the host is: processor, memory, disk, as far as the system says. Reads /proc.

What a system does not have (Windows: any of it; macOS: processor and memory) is None.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple


class Ticks(NamedTuple):
    """Of all processors together, since the host's start (proc(5), /proc/stat)."""

    busy: int
    all: int


class Space(NamedTuple):
    """In bytes."""

    free: int
    all: int


def processor_ticks() -> Ticks | None:
    """How long the processors were busy, and how long there were any."""
    try:
        with open("/proc/stat", "rb") as file:
            fields = file.readline().split()
        # user nice system idle iowait irq softirq steal; guests are counted in user and nice.
        values = [int(field) for field in fields[1:9]]
        idle = values[3] + values[4]
    except (OSError, ValueError, IndexError):
        return None
    return Ticks(sum(values) - idle, sum(values))


def free_memory() -> Space | None:
    """What programs could still get without swapping."""
    found: dict[bytes, int] = {}
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                name, _, value = line.partition(b":")
                if name in (b"MemTotal", b"MemAvailable"):
                    found[name] = int(value.split()[0]) * 1024
                    if len(found) == 2:
                        break
        return Space(found[b"MemAvailable"], found[b"MemTotal"])
    except (OSError, ValueError, IndexError, KeyError):
        return None


def free_disk(folder: str) -> Space | None:
    """Of the disk that a folder is on."""
    if sys.platform == "win32":
        return None
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def load_average() -> float | None:
    """Processes that ran or waited to, over the last minute."""
    if sys.platform == "win32":
        return None
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
