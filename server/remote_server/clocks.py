"""The clocks of this host. Reads them, nothing else."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from remote_server.domain.model import Clock

boot_clock: Final = partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Seconds of a clock that never jumps and counts the host's sleep where there is one."""
CLOCK: Final = Clock(time.time, boot_clock)
