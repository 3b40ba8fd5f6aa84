"""What holds the loop is noticed and named."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from remote_server.watchdog import Hold, Watchdog, place

DEADLINE = 30.0


def burns(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))


def sleeps(seconds: float) -> None:
    time.sleep(seconds)


async def held_by(work: Callable[[float], None]) -> Hold:
    """The hold of a watchdog that was caused by this. Others are the machine's, which is busy."""
    watchdog = Watchdog(held=0.2)
    watchdog.start()
    try:
        for seconds in (0.8, 3.2, 12.8):
            await asyncio.sleep(0.01)
            before = len(watchdog.holds)
            work(seconds)
            async with asyncio.timeout(DEADLINE):
                while len(watchdog.holds) == before:
                    await asyncio.sleep(0.01)
            for hold in watchdog.holds:
                if f" {work.__name__}" in hold.where:
                    return hold
    finally:
        watchdog.stop()
    raise AssertionError(f"it was not seen in {list(watchdog.holds)}")


@pytest.mark.parametrize("work", [burns, sleeps])
async def test_a_held_loop_is_named(work: Callable[[float], None]) -> None:
    with capture_logs() as logs:
        hold = await held_by(work)
    assert hold.seconds > 0.2
    assert "tests/server/test_watchdog.py:" in hold.where
    assert "held_by" in hold.where
    assert (hold.cpu < 0.3) == (work is sleeps)
    (line,) = [entry for entry in logs if entry.get("where") == hold.where]
    assert (line["event"], line["log_level"]) == ("event loop held", "warning")
    assert line["seconds"] == hold.seconds


async def test_a_loop_that_turns_is_left_alone() -> None:
    watchdog = Watchdog(held=5.0)
    watchdog.start()
    await asyncio.sleep(0.6)
    watchdog.stop()
    assert not watchdog.holds


async def test_the_same_place_is_said_once_in_a_while() -> None:
    watchdog = Watchdog(held=0.1)
    with capture_logs() as logs:
        for _ in range(3):
            watchdog._seen["here"] += 1
            watchdog._report(1.0, 0.5)
    assert len(watchdog.holds) == 3
    assert len(logs) == 1


def test_a_place_is_the_innermost_frames() -> None:
    here = place(sys._getframe())
    assert here.startswith("tests/server/test_watchdog.py:")
    assert here.count(" < ") == 7
    assert place(None) == ""
