"""`remote_server.clocks`: the wall clock, and one that only grows."""

from __future__ import annotations

import time

from remote_server.clocks import CLOCK, boot_clock


def test_the_boot_clock_only_grows_and_the_wall_clock_is_the_time() -> None:
    first, before = CLOCK.boot(), time.time()
    assert before <= CLOCK.wall() <= time.time()
    assert first <= CLOCK.boot() <= boot_clock()
