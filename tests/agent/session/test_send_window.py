"""How many bytes may be on their way: as many as keep the link busy, and no more."""

from __future__ import annotations

from collections import deque

import pytest

from remote_agent.session.send_window import LEAST, REMEMBERED, SendWindow
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_PAYLOAD, WINDOW

KEY = AttemptId("01ARYZ6S410000000000000000", 1)
OTHER = AttemptId("01ARYZ6S410000000000000001", 1)


class Way:
    """A link with one log to send: so many bytes a second, each so long under way and back."""

    def __init__(self, rate: float, round_trip: float) -> None:
        self.rate, self.round_trip = rate, round_trip
        self.window = SendWindow()
        self.now = self.free_at = 0.0
        self.sent = self.acked = 0
        self.acks: deque[tuple[float, int]] = deque()
        self.longest = 0.0

    def go(self, seconds: float) -> float:
        """Send for a while; bytes a second that were acknowledged."""
        until, before = self.now + seconds, self.acked
        self.longest = 0.0
        while self.now < until:
            while self.sent + MAX_PAYLOAD <= self.acked + self.window.size:
                self.sent += MAX_PAYLOAD
                self.free_at = max(self.now, self.free_at) + MAX_PAYLOAD / self.rate
                self.longest = max(self.longest, self.free_at - self.now)
                self.acks.append((self.free_at + self.round_trip, self.sent))
                self.window.sent(KEY, self.sent, self.now)
            self.now, self.acked = self.acks.popleft()
            self.window.acknowledged(KEY, self.acked, self.now)
        return (self.acked - before) / seconds


def test_little_waits_on_a_short_way_and_it_stays_busy() -> None:
    way = Way(rate=100e6, round_trip=0.0002)
    way.go(1)
    assert way.go(1) > 0.95 * way.rate
    # With all that the protocol allows on its way it would be 21 ms.
    assert way.longest < 0.011


def test_a_long_way_gets_all_that_the_protocol_allows() -> None:
    way = Way(rate=1e9, round_trip=0.1)
    way.go(3)
    assert way.window.size == WINDOW
    assert way.go(3) > 0.9 * WINDOW / way.round_trip


def test_a_narrow_long_way_stays_busy_without_a_long_queue() -> None:
    way = Way(rate=10e6, round_trip=0.04)
    way.go(3)
    assert way.go(3) > 0.9 * way.rate
    assert way.longest < 0.14


def test_a_way_that_becomes_longer_is_measured_anew() -> None:
    way = Way(rate=1e9, round_trip=0.0002)
    way.go(1)
    way.round_trip = 0.1
    way.go(2 * REMEMBERED + 3)
    assert way.window.size == WINDOW


def test_only_the_awaited_acknowledgement_is_a_measurement() -> None:
    window = SendWindow()
    window.sent(KEY, 10, now=0.0)
    window.sent(OTHER, 5, now=1.0)
    window.acknowledged(OTHER, 5, now=1.0)
    window.acknowledged(KEY, 9, now=2.0)
    assert window.size == LEAST
    window.acknowledged(KEY, 10, now=3.0)
    assert window.size == LEAST + MAX_PAYLOAD


@pytest.mark.parametrize("forgotten", [True, False])
def test_a_log_that_ends_leaves_the_clock_to_others(forgotten: bool) -> None:
    window = SendWindow()
    window.sent(KEY, 10, now=0.0)
    if forgotten:
        window.forget(KEY)
    window.forget(OTHER)
    window.sent(OTHER, 5, now=1.0)
    window.acknowledged(OTHER, 5, now=1.1)
    assert window.size == (LEAST + MAX_PAYLOAD if forgotten else LEAST)


def test_it_is_whole_chunks_between_the_least_and_the_most() -> None:
    window = SendWindow()
    sizes = set()
    for number in range(200):
        window.sent(KEY, number, now=float(number))
        window.acknowledged(KEY, number, now=number + (0.001 if number % 50 < 30 else 0.9))
        sizes.add(window.size)
    assert max(sizes) == WINDOW
    assert min(sizes) == LEAST
    assert all(size % MAX_PAYLOAD == 0 for size in sizes)


def test_another_link_is_another_way() -> None:
    window = SendWindow()
    window.sent(KEY, 1, now=0.0)
    window.acknowledged(KEY, 1, now=0.0)
    window.sent(KEY, 2, now=0.0)
    window.restart()
    assert window.size == LEAST
    window.acknowledged(KEY, 2, now=0.0)
    assert window.size == LEAST
