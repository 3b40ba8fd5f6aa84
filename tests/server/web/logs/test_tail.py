"""A position in a log: records are shown whole, and others get their turn."""

from __future__ import annotations

import asyncio

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.web.logs.forms import Plain, Raw
from remote_server.web.logs.tail import Collected, Tail

KEY = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1)
STAMP = b"2026-11-21T03:04:05.123456789Z"


class Bytes:
    """A log in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetching = asyncio.Semaphore(2)
        self.packed = False
        self.answer = asyncio.Event()
        self.answer.set()

    def at_hand(self, key: AttemptId) -> bool:
        return not self.packed

    async def read(self, key: AttemptId, offset: int, size: int) -> bytes:
        if self.packed:
            await self.answer.wait()
        return self.data[offset : offset + size]


async def packed() -> bool:
    return True


def record(text: bytes, stream: bytes = cri.STDOUT) -> bytes:
    return b"".join(cri.encode(text, STAMP, stream))


async def test_starts_of_both_streams() -> None:
    parts = [record(b"a\n"), record(b"b\n", cri.STDERR), record(b"c\n"), record(b"d\n", cri.STDERR)]
    at = [sum(map(len, parts[:n])) for n in range(5)]
    logs = Bytes(b"".join(parts))
    for stdout, stderr, shown in ((0, 3, "acd"), (2, 1, "bcd"), (4, 4, ""), (2, 3, "cd")):
        starts = {"stdout": at[stdout], "stderr": at[stderr]}
        for form in (Plain(None, 0), Raw()):
            sink = Collected(9999)
            tail = Tail(logs, KEY, asyncio.Semaphore(1), packed, starts=starts)
            await tail.drain(form, sink)
            text = sink.whole or b""
            text = cri.decode(text) if isinstance(form, Raw) else text
            assert text.decode().replace("\n", "") == shown
            assert tail.offset == at[4]


async def test_it_ends_at_a_position_and_goes_on_from_there() -> None:
    whole = record(b"one\n") + record(b"two\n")
    tail = Tail(Bytes(whole), KEY, asyncio.Semaphore(1), packed)
    sink = Collected(99)
    await tail.drain(Plain(None, 0), sink, len(record(b"one\n")))
    assert sink.whole == b"one\n"
    await tail.drain(Plain(None, 0), sink)
    assert sink.whole == b"one\ntwo\n"


async def test_what_is_too_much_to_keep_is_counted() -> None:
    sink = Collected(10)
    for _ in range(5):
        await sink.write(b"12345")
    assert (sink.size, sink.whole, sink.parts) == (25, None, [])


async def test_thousands_of_readers_leave_others_their_turn() -> None:
    """Two pieces are made in a turn of the loop, however many want one."""
    logs, turn = Bytes(record(b"x\n" * 2000)), asyncio.Semaphore(2)
    pieces = [0]

    class Sink:
        async def write(self, data: bytes) -> None:
            pieces[0] += 1

    tails = [
        asyncio.create_task(Tail(logs, KEY, turn, packed).drain(Plain(None, 0), Sink()))
        for _ in range(200)
    ]
    most = 0
    for _ in range(50):
        before = pieces[0]
        await asyncio.sleep(0)
        most = max(most, pieces[0] - before)
    assert 0 < most <= 4
    await asyncio.gather(*tails)
    assert pieces[0] >= 200


async def test_an_archive_that_does_not_answer_holds_up_nobody_else() -> None:
    turn, old, growing = asyncio.Semaphore(1), Bytes(record(b"old\n")), Bytes(record(b"new\n"))
    old.packed = True
    old.answer.clear()
    first = Collected(99)
    waiting = [
        asyncio.create_task(Tail(old, KEY, turn, packed).drain(Plain(None, 0), sink))
        for sink in (first, Collected(99), Collected(99))
    ]
    await asyncio.sleep(0)
    sink = Collected(99)
    async with asyncio.timeout(30):
        await Tail(growing, KEY, turn, packed).drain(Plain(None, 0), sink)
    assert sink.whole == b"new\n"
    assert old.fetching.locked(), "not all of them wait with a piece in memory"
    old.answer.set()
    await asyncio.gather(*waiting)
    assert first.whole == b"old\n"


async def test_the_archive_is_asked_for_nothing_that_it_cannot_have() -> None:
    logs = Bytes(record(b"of somebody else\n"))
    logs.packed = True
    logs.answer.clear()

    async def never() -> bool:
        return False

    sink = Collected(99)
    async with asyncio.timeout(30):
        await Tail(logs, KEY, asyncio.Semaphore(1), never).drain(Plain(None, 0), sink)
    assert sink.size == 0
