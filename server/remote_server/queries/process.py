"""What the server's own process takes: memory, processor, files, by the names that Prometheus'
client libraries give them. Reads `/proc/self`; elsewhere only the processor's time is known."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from remote_protocol.metrics import Family, single

_PROC: Final = Path("/proc/self")
_STARTED: Final = time.time()


def process_families(proc: Path = _PROC) -> Iterator[Family]:
    """What is known."""
    yield single(
        "process_start_time_seconds",
        "gauge",
        "Start of the server, in seconds since 1970-01-01 UTC.",
        _STARTED,
    )
    yield single(
        "process_cpu_seconds_total", "counter", "Processor time.", round(time.process_time(), 3)
    )
    try:
        pages = int((proc / "statm").read_text().split()[1])
        files = len(os.listdir(proc / "fd"))
    except (OSError, ValueError, IndexError):
        return
    size = os.sysconf("SC_PAGE_SIZE") * pages
    yield single("process_resident_memory_bytes", "gauge", "Memory.", size)
    yield single("process_open_fds", "gauge", "Open files and connections.", files)
