"""An agent that reads slowly, or not at all, costs a bounded time and memory."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode, messages_of
from remote_protocol.errors import CloseCode
from remote_server.hub import outbox
from remote_server.hub.outbox import Outbox, Outgoing
from tests.support.fake_agent import DEADLINE
from tests.support.live_hub import LiveHub, until


def flood(place: LiveHub, count: int) -> None:
    """Make the hub say `count` long sentences to the agent a."""
    for number in range(count):
        place.hub.lease_ended("a", AttemptId("0" * 26, 1), f"{number} " + "x" * 1_900)


async def test_an_agent_that_reads_nothing_is_let_go(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 0.2)
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        agent.stop_reading()
        # More than the buffers of both sockets hold.
        flood(place, 15_000)
        await until(lambda: place.hub.slot("a") is None)
        assert (await other.beat()).seq == 1, "its neighbour notices nothing"
        agent._transport().abort()


async def test_too_many_messages_for_a_slow_agent_end_its_link(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_WAITING", 500)
    # However long this process stands still: the agent does read what it is told at the end.
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 60.0)
    async with place.agent() as agent:
        await agent.hello()
        flood(place, 501)
        assert place.hub.slot("a") is None
        assert (await agent.hear(m.Error)).detail == "the agent reads too slowly"
        assert await agent.closed() == CloseCode.TRY_AGAIN


class SlowSocket(web.WebSocketResponse):
    """A WebSocket that is sent to at once, or when `gate` opens."""

    room = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.sent = 0

    def write_text(self, data: str) -> None:
        raise AssertionError("there is no room")

    async def send_str(self, data: str, compress: int | None = None) -> None:
        await self.gate.wait()
        self.sent += 1

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class ReadySocket(SlowSocket):
    """A WebSocket that has room."""

    room = True

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[str] = []

    def write_text(self, data: str) -> None:
        self.frames.append(data)


async def test_what_is_said_in_a_turn_leaves_as_one_frame() -> None:
    wire = ReadySocket()
    box = Outbox(wire, Outgoing(), lambda: None, lambda: None)
    told = [m.Settled(attempt=AttemptId("0" * 26, number)) for number in range(1, 4)]
    for message in told:
        box.put(message)
    assert not wire.frames
    await asyncio.sleep(0)
    assert [messages_of(frame) for frame in wire.frames] == [[encode(it) for it in told]]
    box.put(told[0])
    await asyncio.sleep(0)
    assert wire.frames[1:] == [encode(told[0])]
    assert wire.sent == 0


async def test_all_that_waits_leaves_when_somebody_asks() -> None:
    outgoing = Outgoing()
    wires = [ReadySocket(), ReadySocket()]
    first, second = (Outbox(wire, outgoing, lambda: None, lambda: None) for wire in wires)
    told = [m.Settled(attempt=AttemptId("0" * 26, number)) for number in range(1, 4)]
    first.put(told[0])
    first.put(told[1])
    second.put(told[0])
    outgoing.send()
    both = [messages_of(wire.frames[0]) for wire in wires]
    assert both == [[encode(it) for it in told[:2]], [encode(told[0])]]
    # What comes later in the turn leaves with its end, and nothing twice.
    first.put(told[2])
    assert len(wires[0].frames) == 1
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert wires[0].frames[1:] == [encode(told[2])] and len(wires[1].frames) == 1


async def test_an_outbox_that_fails_holds_up_no_other() -> None:
    outgoing = Outgoing()
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    wrong = ValueError("our own bug, for this test")

    class BrokenSocket(ReadySocket):
        def write_text(self, data: str) -> None:
            raise wrong

    wires = [BrokenSocket(), ReadySocket()]
    for wire in wires:
        box = Outbox(wire, outgoing, lambda: None, lambda: None)
        box.put(m.Settled(attempt=AttemptId("0" * 26, 1)))
    await asyncio.sleep(0)
    assert faults == [wrong]
    assert not wires[0].frames and len(wires[1].frames) == 1


async def test_what_waits_for_room_is_not_overtaken() -> None:
    wire = SlowSocket()
    wire.gate.clear()
    box = Outbox(wire, Outgoing(), lambda: None, lambda: None)
    box.put(m.Resync())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    box.put(m.Settled(attempt=AttemptId("0" * 26, 1)))
    # Room is there again, but who waits for it does not know yet; a close says what waits.
    wire.room = True
    assert not box.flush()
    wire.gate.set()
    await until(lambda: wire.sent == 2)


async def test_each_sending_has_the_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT", 0.4)
    slow: list[float] = []
    loop = asyncio.get_running_loop()
    wire = SlowSocket()
    box = Outbox(wire, Outgoing(), lambda: slow.append(loop.time()), lambda: None)
    box.put(m.Resync())
    await until(lambda: wire.sent == 1 and not box.flushing)
    await asyncio.sleep(0.2)
    # Begun while the timer of the first one runs.
    wire.gate.clear()
    begun = loop.time()
    box.put(m.Resync())
    await until(lambda: slow)
    assert slow[0] - begun >= 0.4
    assert len(slow) == 1
    box.drop()


async def test_sendings_in_time_are_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT", 0.05)
    slow: list[None] = []
    wire = SlowSocket()
    box = Outbox(wire, Outgoing(), lambda: slow.append(None), lambda: None)
    for count in range(1, 11):
        box.put(m.Resync())
        await until(lambda: not box.flushing)
        assert wire.sent == count
        await asyncio.sleep(0.02)
    # The timer of the last one finds nothing to do, and is not set again.
    await until(lambda: box._overdue is None)
    assert not slow


async def test_an_agent_that_speaks_and_does_not_read_is_let_go(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "SEND_TIMEOUT", 0.2)
    monkeypatch.setattr(outbox, "CLOSE_TIMEOUT", 0.2)
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        link = place.hub.holder("a")
        assert link is not None
        # The kernel keeps little of what is sent to it.
        own, its = agent._transport(), link._socket
        own.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        its.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        agent.stop_reading()
        # Answered one by one from the loop that reads, which then waits for the socket.
        unknown = m.Started(attempt=AttemptId("0" * 26, 1), pid=1, at=1.0)

        async def speak() -> None:
            with suppress(OSError, RuntimeError):
                while True:
                    await agent.send(*[unknown] * 100)

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(DEADLINE):
            while place.hub.slot("a") is not None:
                await asyncio.sleep(0.01)
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)
        assert (await other.beat()).seq == 1, "its neighbour notices nothing"
        own.abort()
