"""`remote_server.logs.packer` on logs in memory: what it packs, when, and what stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import StoreUnavailable
from remote_server.logs import ArchiveUnavailable, Logs, LogUnavailable, packer
from remote_server.logs.packer import Packer, pause_after
from tests.support.log_keys import new_key
from tests.support.memory_logs import MemoryArchive, MemoryLogs

DATA = b"a line\n" * 10_000


class Ends:
    """Knows which attempts have ended; may fail first."""

    def __init__(self, *keys: AttemptId, failures: int = 0) -> None:
        self.keys = set(keys)
        self.failures = failures

    async def __call__(self, keys: Sequence[AttemptId]) -> frozenset[AttemptId]:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("down")
        return frozenset(self.keys.intersection(keys))


class Place:
    def __init__(self) -> None:
        self.store, self.archive = MemoryLogs(), MemoryArchive()
        self.logs = Logs(self.store, self.archive)
        self.pauses: list[int] = []

    def packer(self, ends: Ends, after: float = 0.01) -> Packer:
        return Packer(self.logs, ends, after, self.pause)

    def pause(self, failures: int) -> float:
        self.pauses.append(failures)
        return 0.001

    async def until_packed(self, *keys: AttemptId) -> None:
        async with asyncio.timeout(30):
            while any(key in self.store.logs for key in keys):
                await asyncio.sleep(0.005)
        for key in keys:
            assert await self.logs.read(key, 0, len(DATA) + 1) == DATA


@pytest.fixture
def place() -> Place:
    return Place()


@asynccontextmanager
async def running(packer: Packer) -> AsyncIterator[None]:
    task = asyncio.create_task(packer.run())
    try:
        yield
        assert not task.done(), "the loop has ended"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_packs_what_an_earlier_process_left_if_it_has_ended(place: Place) -> None:
    ended, alive = new_key(1), new_key(2)
    for key in (alive, ended):
        place.logs.append(key, DATA)
    async with running(place.packer(Ends(ended))):
        await place.until_packed(ended)
    assert alive in place.store.logs


async def test_a_store_that_cannot_be_looked_through_does_not_stop_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()

    def broken() -> Iterator[AttemptId]:
        raise LogUnavailable("it cannot be read")

    monkeypatch.setattr(place.logs, "unpacked", broken)
    async with running(place.packer(Ends(key))):
        place.logs.append(key, DATA)
        place.logs.finish(key)
        await place.until_packed(key)


async def test_packs_finished_logs_after_a_while(place: Place) -> None:
    key = new_key()
    async with running(place.packer(Ends(key))):
        await asyncio.sleep(0)
        place.logs.append(key, DATA)
        place.logs.finish(key)
        await place.until_packed(key)


def test_finished_logs_wait_for_their_time(place: Place) -> None:
    key, logs = new_key(), place.logs
    logs.append(key, DATA)
    logs.finish(key)
    assert place.packer(Ends(key), after=3600).take() == []
    assert logs.backlog == 1
    logs.finish(key)
    soon = place.packer(Ends(key), after=0)
    assert [one.key for one in soon.take()] == [key]
    assert soon.take() == []
    assert logs.backlog == 0


async def test_a_database_that_fails_is_asked_again(place: Place) -> None:
    key = new_key()
    place.logs.append(key, DATA)
    async with running(place.packer(Ends(key, failures=2))):
        await place.until_packed(key)
    assert place.pauses == [1, 2]


async def test_an_archive_that_fails_is_asked_again_less_and_less_often(place: Place) -> None:
    keys = [new_key(number) for number in range(3)]
    for key in keys:
        place.logs.append(key, DATA)
    place.archive.fault = "the share is away"
    with capture_logs() as said:
        async with running(place.packer(Ends(*keys))):
            async with asyncio.timeout(30):
                while place.logs.pack_failures < 5:
                    await asyncio.sleep(0.001)
            for key in keys:
                assert await place.logs.read(key, 0, len(DATA) + 1) == DATA
            place.archive.fault = ""
            await place.until_packed(*keys)
            async with asyncio.timeout(30):
                while place.logs.backlog:
                    await asyncio.sleep(0.001)
    assert max(place.pauses) >= 5, "each failure in a row makes the pause longer"
    at_start, *warnings = [entry for entry in said if entry["log_level"] == "warning"]
    assert "packed logs cannot be read" in at_start["event"]
    assert len(warnings) == place.logs.pack_failures >= 5
    assert {entry["cause"] for entry in warnings} == {"the share is away"}
    assert "stays where it is" in warnings[0]["event"]
    assert [e["event"] for e in said if e["log_level"] == "info"] == [
        "logs are moved to the archive again"
    ]
    assert place.logs.packed == 3


async def test_a_log_that_cannot_be_packed_does_not_stop_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = new_key(1), new_key(2)
    for key in (bad, good):
        place.logs.append(key, DATA)
    content = place.store.content

    def unreadable(key: AttemptId) -> Iterator[bytes]:
        if key == bad and place.logs.pack_failures < 3:
            raise LogUnavailable("the disk has a bad block")
        return content(key)

    monkeypatch.setattr(place.store, "content", unreadable)
    async with running(place.packer(Ends(bad, good))):
        await place.until_packed(good)
        await place.until_packed(bad)
    assert place.logs.pack_failures == 3


async def test_what_is_too_much_to_remember_is_looked_for_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packer, "_MOST_WAITING", 3)
    keys = [new_key(number) for number in range(10)]
    for key in keys:
        place.logs.append(key, DATA)
    async with running(place.packer(Ends(*keys))):
        await place.until_packed(*keys)


async def test_a_full_archive_in_the_middle_of_an_object(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = new_key()
    place.logs.append(key, DATA)
    put, full = place.archive.put, [True]

    async def half(name: str, content: Iterator[bytes]) -> None:
        if full and full.pop():
            next(iter(content))
            raise ArchiveUnavailable("No space left on device")
        await put(name, content)

    monkeypatch.setattr(place.archive, "put", half)
    async with running(place.packer(Ends(key))):
        await place.until_packed(key)
    assert place.logs.pack_failures == 1


def test_pauses_double_up_to_ten_minutes() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 10, 11, 10_000)] == [1, 2, 4, 512, 600, 600]


async def test_an_archive_that_is_away_at_the_start_is_said(place: Place) -> None:
    place.archive.fault = "the directory is not there"
    with capture_logs() as said:
        async with running(place.packer(Ends())):
            async with asyncio.timeout(30):
                while not said:
                    await asyncio.sleep(0.001)
    assert [entry["cause"] for entry in said] == ["the directory is not there"]
    assert "cannot be read now" in said[0]["event"]


async def test_that_it_is_back_is_noticed_without_a_log_to_pack(place: Place) -> None:
    place.archive.fault = "the directory is not there"
    with capture_logs() as said:
        async with running(place.packer(Ends())), asyncio.timeout(30):
            while not place.logs.archive_fault:
                await asyncio.sleep(0.001)
            asked = len(place.archive.asked)
            while len(place.archive.asked) < asked + 3:
                await asyncio.sleep(0.001)
            place.archive.fault = ""
            while place.logs.archive_fault:
                await asyncio.sleep(0.001)
    assert [entry["log_level"] for entry in said] == ["warning", "info"]
