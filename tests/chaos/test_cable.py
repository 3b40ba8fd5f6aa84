"""The cable of the chaos run: each kind of bad weather does what it says, fine weather nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.chaos.cable import FINE, Cable, Weather
from tests.support.stack import until

PACKETS = [b"packet %d" % number for number in range(200)]


class Line:
    """A cable whose ends are datagram sockets: packets keep their bounds, as in a tun device."""

    def __init__(self) -> None:
        (self.agent, a), (self.server, b) = (
            socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)
        )
        self.cable = Cable(a.detach(), b.detach(), seed=7)
        self.cable.start()

    def carry(self, weather: Weather) -> list[bytes]:
        """Send all packets upwards; what arrives until the cable holds none any more."""
        self.cable.weather = weather
        taken = self.cable.taken + len(PACKETS)
        got: list[bytes] = []
        for packet in PACKETS:
            self.agent.send(packet)
            got += self._arrived()

        def through() -> bool:
            nonlocal got
            over = self.cable.taken >= taken and self.cable.idle
            got += self._arrived()
            return over

        until(through, "all packets are delivered or lost", 60)
        return got

    def _arrived(self) -> list[bytes]:
        self.server.settimeout(0)
        got = []
        try:
            while True:
                got.append(self.server.recv(100))
        except (TimeoutError, BlockingIOError):
            return got

    def close(self) -> None:
        self.cable.stop()
        self.agent.close()
        self.server.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_in_fine_weather_all_packets_arrive_once_and_in_order(line: Line) -> None:
    assert line.carry(FINE) == PACKETS
    assert line.cable.counts == {"packets": len(PACKETS)}


def test_lost_packets_are_missing(line: Line) -> None:
    got = line.carry(Weather(loss=0.3))
    assert got == [packet for packet in PACKETS if packet in got]
    assert line.cable.counts["lost"] == len(PACKETS) - len(got) > 0


def test_repeated_packets_arrive_twice(line: Line) -> None:
    got = line.carry(Weather(repeat=1.0))
    assert sorted(got) == sorted(PACKETS * 2)


def test_reordered_packets_are_overtaken(line: Line) -> None:
    got = line.carry(Weather(reorder=0.5))
    assert got != PACKETS
    assert sorted(got) == sorted(PACKETS)


def test_a_delay_holds_packets_back(line: Line) -> None:
    begun = time.monotonic()
    assert line.carry(Weather(delay=0.25)) == PACKETS
    assert time.monotonic() - begun >= 0.25


def test_a_slow_cable_loses_what_its_queue_cannot_hold(line: Line) -> None:
    got = line.carry(Weather(rate=100))
    assert 0 < len(got) < len(PACKETS)
    assert line.cable.counts["lost"] > 0


def test_a_blocked_direction_lets_nothing_pass_and_the_other_everything(line: Line) -> None:
    line.cable.half_open(True)
    line.server.send(b"lost")
    assert line.carry(line.cable.weather) == PACKETS
    line.cable.heal()
    line.server.send(b"heard")
    line.agent.settimeout(30)
    assert line.agent.recv(100) == b"heard"
    line.cable.black_hole(True)
    assert line.carry(line.cable.weather) == []


def test_it_closes_its_ends() -> None:
    line = Line()
    # Whoever has the other end of a pair is told when this one is closed by all.
    line.cable.stop()
    for other in (line.agent, line.server):
        other.settimeout(30)
        with pytest.raises(ConnectionError):
            other.send(b"is somebody there?")
        other.close()
