"""The agent's real loop of connections by a simulated clock: whatever its server does, it does not
spin, and it comes back soon after it can."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage

from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.link import PROVEN_AFTER, Link, LinkPorts
from remote_protocol.codec import Chunk, ContentChunk, encode
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Resync, ServerMessage
from tests.sim.loop import SimulatedLoop

WHILE = 900.0
SHORTEST = 0.25
"""The smallest part of its window that a wait takes here, so that there is a bound."""


class Nobody:
    """Who listens to a link."""

    def link_opened(self, session: str) -> None:
        assert len(session) == 26

    def link_received(self, message: ServerMessage) -> None:
        pass

    def link_input(self, chunk: Chunk | ContentChunk) -> None:
        raise AssertionError("nobody sends inputs")

    def link_closed(self, reason: str) -> None:
        assert reason


class ShortLink:
    """A WebSocket that brings some messages and then ends."""

    fault = "the network cut it"
    close_reason = None

    def __init__(self, lives: float, says: int, code: int | None, loop: SimulatedLoop) -> None:
        self.close_code = code
        self._lives, self._says, self._loop = lives, says, loop

    async def recv(self) -> str | bytes:
        if self._says > 0:
            self._says -= 1
            return encode(Resync())
        if self._lives > 0:
            ended = self._loop.create_future()
            self._loop.call_later(self._lives, ended.set_result, None)
            await ended
        raise ConnectionClosed(None, None)

    def write(self, frame: str | memoryview) -> None:
        raise AssertionError("nobody writes")

    def flush(self) -> None:
        """There is nothing."""

    async def drain(self) -> None:
        raise AssertionError("nobody writes")

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError("nobody closes")


Answer = Callable[[], ShortLink]


class Simulation:
    """One agent's link, a server that answers as `answer` does, and the moments at which it was
    asked."""

    def __init__(self, answer: Answer, loop: SimulatedLoop, rng: Random) -> None:
        self.answer = answer
        self.loop = loop
        self.asked: list[float] = []
        ports = LinkPorts(
            connect=self._connect,
            clock=loop.time,
            wall=loop.time,
            random=lambda: SHORTEST + (1 - SHORTEST) * rng.random(),
            entropy=rng.randbytes,
        )
        self.link = Link(Endpoint("http://127.0.0.1:1", "token"), ports)
        self.task = loop.create_task(self.link.run(Nobody()))
        loop.run()

    async def _connect(self, _: Endpoint) -> ShortLink:
        self.asked.append(self.loop.now)
        return self.answer()

    def pass_time(self, seconds: float) -> None:
        """Go from one timer to the next."""
        until = self.loop.now + seconds
        while (due := self.loop.due) is not None and due <= until:
            self.loop.advance(due)
        self.loop.advance(until)
        assert not self.task.done()


def refused() -> ShortLink:
    raise ConnectionRefusedError("nobody listens")


def broken() -> ShortLink:
    raise InvalidMessage("no HTTP")


@pytest.mark.parametrize("answer", [refused, broken])
@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_is_away_is_asked_ever_less_often(seed: int, answer: Answer) -> None:
    simulation = Simulation(answer, SimulatedLoop(1000.0), Random(seed))
    simulation.pass_time(WHILE)
    asked = simulation.asked
    # Windows of 1, 2, 4 … 60 seconds, and at least a quarter of each.
    assert len(asked) <= 7 + WHILE / (60 * SHORTEST)
    assert len([moment for moment in asked if moment < 1060]) <= 10
    assert max(b - a for a, b in itertools.pairwise(asked)) <= 60


@pytest.mark.parametrize("code", [None, CloseCode.TRY_AGAIN, CloseCode.INTERNAL, CloseCode.SILENT])
@pytest.mark.parametrize("seed", range(2))
def test_links_that_end_at_once_are_made_ever_less_often(seed: int, code: int | None) -> None:
    loop = SimulatedLoop(1000.0)
    simulation = Simulation(lambda: ShortLink(0.0, 0, code, loop), loop, Random(seed))
    simulation.pass_time(WHILE)
    assert len(simulation.asked) <= 7 + WHILE / (60 * SHORTEST)


@pytest.mark.parametrize("seed", range(2))
def test_a_server_that_spoke_is_asked_again_within_seconds(seed: int) -> None:
    loop = SimulatedLoop(1000.0)
    simulation = Simulation(lambda: ShortLink(0.0, 1, None, loop), loop, Random(seed))
    simulation.pass_time(WHILE)
    asked = simulation.asked
    assert len(asked) <= 3 + WHILE / (4 * SHORTEST)
    assert max(b - a for a, b in itertools.pairwise(asked)) <= 4


def test_who_is_thrown_out_by_its_own_identity_waits_for_half_a_minute() -> None:
    loop = SimulatedLoop(1000.0)
    answer = lambda: ShortLink(0.1, 1, CloseCode.FENCED, loop)  # noqa: E731
    simulation = Simulation(answer, loop, Random(1))
    simulation.pass_time(WHILE)
    assert len(simulation.asked) <= 1 + WHILE / 30


@pytest.mark.parametrize("seed", range(10))
def test_whatever_the_server_does_the_agent_does_not_spin(seed: int) -> None:
    """Any order of refusals, short links and long ones: there is a wait after each, and an agent
    whose server works again is back within a minute."""
    loop, rng = SimulatedLoop(1000.0), Random(seed)
    lived = 0.0

    def any_end() -> ShortLink:
        nonlocal lived
        draw = rng.random()
        if draw < 0.4:
            return rng.choice([refused, broken])()
        lives = rng.choice([0.0, 0.0, 0.5, PROVEN_AFTER + 1])
        lived += lives
        codes = [None, CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.TRY_AGAIN]
        return ShortLink(lives, rng.randint(0, 2), rng.choice(codes), loop)

    simulation = Simulation(any_end, loop, rng)
    simulation.pass_time(WHILE)
    # The shortest window is a second, so that no wait is shorter than a quarter of it.
    assert len(simulation.asked) <= 1 + (WHILE - lived) / SHORTEST + 1
    waits = [b - a for a, b in zip(simulation.asked, simulation.asked[1:], strict=False)]
    assert min(waits) >= SHORTEST
    simulation.answer = lambda: ShortLink(10 * WHILE, 1, None, loop)
    simulation.pass_time(60 + PROVEN_AFTER + 1)
    assert simulation.link.open
