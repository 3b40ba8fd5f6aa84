"""Inputs over real WebSockets: as they come, again after a cut, to a slow reader, to the end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from structlog.testing import LogCapture

from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_PAYLOAD, WINDOW
from remote_protocol.messages import InputAck, InputEnd, Phase, ReadInput, Resync, Superseded
from remote_server.disk.reserve import Reserve
from remote_server.domain.events import Event, InputGone, InputRead
from remote_server.hub.input_sender import InputSender
from remote_server.inputs import InputStore, InputUnavailable
from tests.support.fake_agent import FakeAgent, holds
from tests.support.live_hub import LiveHub, until


async def read(agent: FakeAgent, key: AttemptId, offset: int = 0) -> None:
    await agent.send(ReadInput(attempt=key, offset=offset))


async def collect(agent: FakeAgent, key: AttemptId, offset: int, size: int) -> bytes:
    """Take pieces until there are `size` bytes in all, acknowledging each."""
    got = b""
    while offset + len(got) < size:
        piece = await agent.input()
        assert (piece.attempt, piece.offset) == (key, offset + len(got))
        got += piece.payload
        arrived = offset + len(got)
        await agent.send(InputAck(attempt=key, offset=arrived))
    return got


async def start(place: LiveHub, agent: FakeAgent) -> AttemptId:
    await agent.hello()
    await place.submit(stdin=True)
    return await agent.start()


async def test_an_input_is_sent_as_it_comes(place: LiveHub) -> None:
    async with place.agent() as agent:
        key = await start(place, agent)
        await read(agent, key)
        await place.inputs.append(key.job, 0, b"hello ")
        assert await collect(agent, key, 0, 6) == b"hello "
        await place.inputs.append(key.job, 6, b"world")
        assert await collect(agent, key, 6, 11) == b"world"
        await place.inputs.append(key.job, 11, b"", end=True)
        assert (await agent.hear(InputEnd)).size == 11
        await agent.finish(key)
        await until(lambda: place.inputs.look(key.job) is None)


async def test_a_long_input_comes_whole_also_after_a_cut(place: LiveHub) -> None:
    whole = os.urandom(3 * WINDOW + 4711)
    async with place.agent() as agent:
        key = await start(place, agent)
        for start_at in range(0, len(whole), MAX_PAYLOAD):
            part = whole[start_at : start_at + MAX_PAYLOAD]
            end = start_at + len(part) == len(whole)
            await place.inputs.append(key.job, start_at, part, end)
        await read(agent, key)
        first = await collect(agent, key, 0, WINDOW + 5)
        agent.cut()
    async with place.agent() as agent:
        await agent.hello(holds(key, Phase.RUNNING))
        await read(agent, key, len(first))
        rest = await collect(agent, key, len(first), len(whole))
        assert first + rest == whole
        assert (await agent.hear(InputEnd)).size == len(whole)
        await agent.finish(key)


async def test_no_more_than_a_window_comes_unacknowledged(place: LiveHub) -> None:
    async with place.agent() as agent:
        key = await start(place, agent)
        await place.inputs.append(key.job, 0, bytes(WINDOW + 10))
        await read(agent, key)
        got = 0
        while got < WINDOW:
            got += len((await agent.input()).payload)
        assert got == WINDOW
        await agent.send(InputAck(attempt=key, offset=10))
        assert len((await agent.input()).payload) == 10
        await agent.finish(key)


async def test_an_input_that_cannot_be_read_is_sent_later(place: LiveHub, said: LogCapture) -> None:
    async with place.agent() as agent:
        key = await start(place, agent)
        await place.inputs.append(key.job, 0, b"abc")
        path = place.inputs.root / f"{key.job}.open"
        path.rename(path.with_suffix(".aside"))
        await read(agent, key)
        await until(lambda: any(key.job in str(entry) for entry in said.entries))
        path.with_suffix(".aside").rename(path)
        await agent.hear(Resync)
        await agent.hello(holds(key, Phase.RUNNING))
        await read(agent, key)
        assert await collect(agent, key, 0, 3) == b"abc"
        await agent.finish(key)


class Source:
    """Pieces to send, one after the other."""

    def __init__(self, *pieces: tuple[AttemptId, int, int]) -> None:
        self.pieces = list(pieces)

    def reads(self, key: AttemptId) -> bool:
        return key == KEY

    def next_input(self) -> tuple[AttemptId, int, int] | None:
        return self.pieces.pop(0) if self.pieces else None


class Place:
    """A sender and what it does."""

    def __init__(self, root: Path) -> None:
        self.inputs = InputStore(root / "inputs", Reserve(root, 0), lambda: 0.0, 1 << 20)
        self.inputs.scan()
        self.sent: list[bytes] = []
        self.told: list[Event] = []
        self.failed: list[AttemptId] = []
        self.broken: list[BaseException] = []
        self.fault: Exception | None = None
        self.sender = InputSender(
            self.inputs, self._send, self.told.append, self._fail, self.broken.append
        )

    async def _send(self, frame: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.sent.append(frame)

    def _fail(self, key: AttemptId, error: InputUnavailable) -> None:
        self.failed.append(key)


KEY = AttemptId("01ARYZ6S410000000000000000", 1)


async def test_a_wake_right_after_the_last_piece_is_heard(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.inputs.append(KEY.job, 0, b"abcdef")
    first, second = Source((KEY, 0, 3)), Source((KEY, 3, 3))
    place.sender.wake(first)
    task = place.sender._task
    assert task is not None
    task.add_done_callback(lambda _: place.sender.wake(second))
    await until(lambda: len(place.sent) == 2)


async def test_what_its_job_has_left_is_passed_over(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.inputs.append(KEY.job, 0, b"abc")
    other = AttemptId("01ARYZ6S410000000000000001", 1)
    place.sender.wake(Source((other, 0, 3), (KEY, 0, 3)))
    await until(lambda: place.sent)
    assert place.told[0] == InputGone(other) and not place.failed


async def test_a_defect_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    await place.inputs.append(KEY.job, 0, b"abc")
    place.fault = ZeroDivisionError("for this test")
    place.sender.wake(Source((KEY, 0, 3)))
    await until(lambda: place.broken == [place.fault])


async def test_a_closed_feeder_hears_nothing_more(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.sender.read(Source(), KEY, 0)
    assert place.told == [InputRead(KEY, 0, 0, False)]
    place.sender.close()
    await place.inputs.append(KEY.job, 0, b"abc")
    await asyncio.sleep(0)
    assert len(place.told) == 1


async def test_the_input_of_others_is_not_even_looked_up(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as rogue:
        key = await start(place, agent)
        await place.inputs.append(key.job, 0, b"a secret")
        await rogue.hello()
        await read(rogue, key)
        gone = await rogue.hear(Superseded)
        assert gone.attempt == key
        unknown = AttemptId("01ARYZ6S410000000000000000", 1)
        await read(rogue, unknown)
        await rogue.hear(Superseded)
        assert place.inputs.known() == [key.job]
        await read(agent, key)
        assert await collect(agent, key, 0, 8) == b"a secret"
        await agent.finish(key)


async def test_a_job_without_input_gets_none(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await read(agent, key)
        await agent.beat()
        assert place.inputs.known() == []
        await agent.finish(key)
