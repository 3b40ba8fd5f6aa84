"""The uploader: bytes move from spools to frames, in the session's order, and never get stuck."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress

from remote_agent.connection import uploader as module
from remote_agent.connection.uploader import Uploader
from remote_agent.processes import UnexpectedEntry
from remote_agent.session.events import ChunkSent, Event, SpoolMissing
from remote_agent.spool import SpoolError
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import decode_chunk
from remote_protocol.limits import MAX_PAYLOAD
from tests.support.fake_server import new_key, until


class Spool:
    """A log in memory; `broken` reads fail."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.broken = self.odd = False
        self.closed = False
        self.first = 0
        self.dropped: tuple[int, int] | None = None
        self.looks = 0
        """How often it was read."""

    def read_into(self, buffer: memoryview, offset: int) -> int:
        self.looks += 1
        if self.broken:
            raise OSError("the disk is tired")
        if self.odd:
            raise UnexpectedEntry("output.log", "it is a FIFO")
        if offset < self.first:
            raise SpoolError("it was dropped", self.first)
        piece = self.data[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def drop_acked(self, acked: int, keep: int) -> int:
        self.dropped = (acked, keep)
        return 0

    def close(self) -> None:
        self.closed = True


class World:
    """A session, a link and spools, as simple as can be."""

    def __init__(self, most_open: int = 512) -> None:
        self.spools: dict[AttemptId, Spool] = {}
        self.sent: dict[AttemptId, int] = {}
        self.missing: list[SpoolMissing] = []
        self.short = 0
        """Bytes that the session knows of and no spool has."""
        self.frames: list[tuple[AttemptId, int, bytes]] = []
        self.events: list[Event] = []
        self.up = True
        self.largest = 4
        """Bytes of one piece."""
        self.idle = 0
        """How often the uploader was told that there is nothing to send."""
        self.room = asyncio.Event()
        self.room.set()
        self.uploader = Uploader(
            self, self.spools.__getitem__, keep=3, segment_size=8, most_open=most_open
        )

    def spool(self, data: bytes) -> AttemptId:
        key = new_key()
        self.spools[key], self.sent[key] = Spool(data), 0
        return key

    def next_chunk(self):
        for key in list(self.sent):
            self.sent[key] = self.sent.pop(key)
            length = min(self.largest, len(self.spools[key].data) + self.short - self.sent[key])
            if length > 0:
                return key, self.sent[key], length
        self.idle += 1
        return None

    def handle(self, event: Event) -> None:
        if isinstance(event, SpoolMissing):
            self.missing.append(event)
            if event.until is not None:
                self.sent[event.key] = event.until
            return
        assert isinstance(event, ChunkSent)
        self.events.append(event)
        self.sent[event.key] += event.length

    def write(self, frame: memoryview) -> bool:
        if self.up:
            chunk = decode_chunk(bytes(frame))
            self.frames.append((chunk.attempt, chunk.offset, bytes(chunk.payload)))
        return self.up

    async def drain(self) -> None:
        await self.room.wait()


@asynccontextmanager
async def world(most_open: int = 512):
    it = World(most_open)
    task = asyncio.create_task(it.uploader.run(it))
    try:
        yield it
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_it_sends_what_there_is_and_then_waits_for_a_wake():
    async with world() as it:
        await until(lambda: it.idle == 1)
        key = it.spool(b"0123456789")
        it.uploader.wake()
        await until(lambda: len(it.frames) == 3)
        assert it.frames == [(key, 0, b"0123"), (key, 4, b"4567"), (key, 8, b"89")]
        # Idle, not merely between two chunks: there it would find what is added now.
        await until(lambda: it.idle == 2)
        it.spools[key].data += b"ab"
        await asyncio.sleep(0.01)
        assert len(it.frames) == 3
        it.uploader.wake()
        await until(lambda: len(it.frames) == 4)
        assert b"".join(payload for _, _, payload in it.frames) == b"0123456789ab"


async def test_a_piece_may_be_longer_than_all_before_it():
    async with world() as it:
        it.largest = MAX_PAYLOAD
        long = bytes(range(256)) * (MAX_PAYLOAD // 256)
        logs = [b"a few", long[:1000], long, b"and few"]
        for number, log in enumerate(logs, 1):
            key = it.spool(log)
            it.uploader.wake()
            await until(lambda: len(it.frames) == number)  # noqa: B023 - awaited here
            assert it.frames[-1] == (key, 0, log)


async def test_one_chunk_at_a_time_is_written_and_counted_before_the_wait():
    async with world() as it:
        it.room.clear()
        it.spool(b"x" * 100)
        it.uploader.wake()
        await until(lambda: it.frames)
        await asyncio.sleep(0.01)
        assert len(it.frames) == len(it.events) == 1
        it.room.set()
        await until(lambda: len(it.frames) == 25)


async def test_without_a_link_nothing_counts_as_sent():
    async with world() as it:
        it.up = False
        key = it.spool(b"abcd")
        it.uploader.wake()
        await asyncio.sleep(0.01)
        assert not it.events
        it.up = True
        it.uploader.wake()
        await until(lambda: it.frames == [(key, 0, b"abcd")])


async def test_a_spool_that_cannot_be_read_is_named_and_tried_again(monkeypatch, capsys):
    monkeypatch.setattr(module, "RETRY", 0.01)
    async with world() as it:
        key = it.spool(b"abcd")
        it.spools[key].broken = True
        it.uploader.wake()
        await until(lambda: it.spools[key].looks > 2)
        assert not it.frames
        it.spools[key].broken = False
        await until(lambda: it.frames == [(key, 0, b"abcd")])
    assert capsys.readouterr().out.count("the disk is tired") == 1


async def test_an_unreadable_spool_slows_nobody_else(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 60.0)
    async with world() as it:
        bad, good = it.spool(b"x" * 400), it.spool(b"y" * 4000)
        it.spools[bad].broken = True
        it.uploader.wake()
        await until(lambda: it.sent[good] == 4000, deadline=20.0)
        assert it.sent[bad] == 0


async def test_forgetting_an_attempt_closes_its_files():
    async with world() as it:
        key = it.spool(b"abcd")
        it.uploader.wake()
        await until(lambda: it.frames)
        it.uploader.forget(key)
        it.uploader.forget(key)
        assert it.spools[key].closed


async def test_acknowledged_segments_go_once_a_segment():
    async with world() as it:
        key = it.spool(b"0123456789")
        it.uploader.acknowledged(key, 3)
        assert it.spools[key].dropped is None
        it.uploader.acknowledged(key, 4)
        assert it.spools[key].dropped == (4, 3)
        it.uploader.acknowledged(key, 7)
        assert it.spools[key].dropped == (4, 3)
        it.uploader.acknowledged(key, 9)
        assert it.spools[key].dropped == (9, 3)


async def test_what_was_dropped_is_reported_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.01)
    async with world() as it:
        key = it.spool(b"0123456789")
        it.spools[key].first = 6
        it.uploader.wake()
        await until(lambda: it.frames == [(key, 6, b"6789")])
        assert it.missing == [SpoolMissing(key, 0, 6)]


async def test_a_spool_that_ends_early_is_reported(monkeypatch):
    monkeypatch.setattr(module, "RETRY", 0.01)
    async with world() as it:
        it.short = 1
        key = it.spool(b"0123")
        it.uploader.wake()
        await until(lambda: it.missing)
        assert it.frames == [(key, 0, b"0123")]
        assert it.missing[0] == SpoolMissing(key, 4, None)


async def test_only_so_many_spools_stay_open():
    async with world(most_open=2) as it:
        keys = [it.spool(b"12345678") for _ in range(4)]
        it.uploader.wake()
        await until(lambda: len(it.frames) == 8)
        assert {key for key, _, _ in it.frames} == set(keys)
        assert sum(not it.spools[key].closed for key in keys) <= 2


async def test_what_stands_in_the_place_of_a_log_is_a_gap():
    async with world() as it:
        key = it.spool(b"0123")
        it.spools[key].odd = True
        it.uploader.wake()
        await until(lambda: it.missing)
        assert it.missing[0] == SpoolMissing(key, 0, None)
