"""`remote_server.logs.archived`: packed logs, read with few requests, on an archive in memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_protocol.attempt_id import AttemptId
from remote_server.logs import ArchiveUnavailable
from remote_server.logs.archived import AHEAD, MOST_OPEN, ArchivedLogs, key_of, name_of
from remote_server.logs.packed import BLOCK, TAIL, Damaged
from tests.support.log_keys import new_key
from tests.support.memory_logs import MemoryArchive

DATA = b"".join(number.to_bytes(4, "big") for number in range(BLOCK * 5 // 8))


@pytest.fixture
def archive() -> MemoryArchive:
    return MemoryArchive()


@pytest.fixture
def logs(archive: MemoryArchive) -> ArchivedLogs:
    return ArchivedLogs(archive)


async def put(logs: ArchivedLogs, data: bytes = DATA, key: AttemptId | None = None) -> AttemptId:
    key = key or new_key()
    await logs.put(key, [data])
    return key


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers(0, 2 * BLOCK)), max_size=8))
def test_reads_from_any_position(reads: list[tuple[int, int]]) -> None:
    async def read() -> None:
        logs = ArchivedLogs(MemoryArchive())
        key = await put(logs)
        assert await logs.length(key) == len(DATA)
        for offset, size in reads:
            assert await logs.read(key, offset, size) == DATA[offset : offset + size]

    asyncio.run(read())


async def test_opening_takes_two_requests_and_reading_on_few(
    archive: MemoryArchive, logs: ArchivedLogs
) -> None:
    key = await put(logs)
    logs.forget(key)
    archive.asked.clear()
    for offset in range(0, len(DATA), 1000):
        await logs.read(key, offset, 1000)
    name = name_of(key)
    assert archive.asked == [("size", name), *[("get", name)] * 2]


async def test_reading_here_and_there_asks_for_one_block_each(
    archive: MemoryArchive, logs: ArchivedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    get = archive.get

    async def measured(name: str, offset: int, size: int) -> bytes | None:
        sizes.append(size)
        return await get(name, offset, size)

    data = os.urandom(9 * BLOCK)
    key = await put(logs, data)
    monkeypatch.setattr(archive, "get", measured)
    for number in (8, 2, 6, 4):
        assert await logs.read(key, number * BLOCK, 9) == data[number * BLOCK :][:9]
    assert max(sizes) < BLOCK + 1000
    sizes.clear()
    logs.forget(key)
    assert b"".join([block async for block in logs.content(key)]) == data
    assert max(sizes) <= AHEAD
    assert len(sizes) < 9


async def test_a_long_index_takes_one_request_more(
    archive: MemoryArchive, logs: ArchivedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.logs.archived.TAIL", 64)
    key = await put(logs)
    assert TAIL > 64
    assert await logs.read(key, 0, len(DATA)) == DATA


async def test_a_missing_log_is_none(logs: ArchivedLogs) -> None:
    key = new_key()
    assert await logs.length(key) is None
    assert await logs.read(key, 0, 9) is None
    assert [block async for block in logs.content(key)] == []
    await logs.delete(key)


async def test_one_that_is_deleted_while_it_is_read_is_missing(
    archive: MemoryArchive, logs: ArchivedLogs
) -> None:
    key = await put(logs, os.urandom(6 * BLOCK))
    assert await logs.read(key, 0, 9)
    archive.objects.clear()
    assert await logs.read(key, 5 * BLOCK, 9) is None
    assert await logs.read(key, 0, 9) is None


async def test_a_bounded_number_is_kept_open(archive: MemoryArchive, logs: ArchivedLogs) -> None:
    keys = [await put(logs, b"%d" % number) for number in range(MOST_OPEN + 3)]
    for number, key in enumerate(keys):
        assert await logs.read(key, 0, 99) == b"%d" % number
    assert len(logs._open) == MOST_OPEN


@pytest.mark.parametrize("place", [1000, -1, -60])
async def test_damage_is_named_with_the_place(
    archive: MemoryArchive, logs: ArchivedLogs, place: int
) -> None:
    key = await put(logs, os.urandom(1000) * 300)
    logs.forget(key)
    raw = bytearray(archive.objects[name_of(key)])
    raw[place] ^= 1
    archive.objects[name_of(key)] = bytes(raw) if place != -1 else bytes(raw[:-1])
    with pytest.raises(Damaged, match=rf"the packed log of {key} .*damaged.*memory of"):
        await logs.read(key, 0, 300_000)


async def test_an_archive_that_does_not_answer_has_its_time(archive: MemoryArchive) -> None:
    logs = ArchivedLogs(archive, timeout=0.01)
    key = await put(logs)
    logs.forget(key)
    archive.gate.clear()
    calls = (logs.length(key), logs.read(key, 0, 9), logs.delete(key), logs.set_aside(key))
    for call in calls:
        with pytest.raises(ArchiveUnavailable, match=r"did not answer within 0\.01 seconds"):
            await call
    archive.gate.set()
    assert await logs.read(key, 0, 9) == DATA[:9]


async def test_a_put_that_hangs_is_given_up(archive: MemoryArchive) -> None:
    logs = ArchivedLogs(archive, stalled=0.05)
    key = new_key()
    archive.gate.clear()
    with pytest.raises(ArchiveUnavailable, match=r"has taken nothing for 0\.05 seconds"):
        await put(logs, DATA, key)
    archive.gate.set()
    # Another one, which is as patient as on a machine that has other work.
    logs = ArchivedLogs(archive)
    await put(logs, DATA, key)
    assert await logs.read(key, 0, 9) == DATA[:9]


async def test_a_put_that_goes_on_has_all_the_time(
    archive: MemoryArchive, logs: ArchivedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked at, as long as something was taken meanwhile."""
    looks, pieces, go = 0, list[bytes](), threading.Semaphore(0)

    async def slow(name: str, content: Iterable[bytes]) -> None:
        def take() -> None:
            for piece in content:
                pieces.append(piece)
                go.acquire()
            archive.objects[name] = b"".join(pieces)

        await asyncio.to_thread(take)

    async def look(waited: set[asyncio.Future[None]], timeout: float) -> None:
        nonlocal looks
        looks += 1
        go.release()
        (put,) = waited
        while not put.done() and len(pieces) <= looks:
            await asyncio.sleep(0.001)

    monkeypatch.setattr(archive, "put", slow)
    monkeypatch.setattr(
        "remote_server.logs.archived.asyncio",
        SimpleNamespace(wait=look, ensure_future=asyncio.ensure_future, timeout=asyncio.timeout),
    )
    key = await put(logs, os.urandom(12 * BLOCK))
    assert looks > 10 and await logs.length(key) == 12 * BLOCK


async def test_what_the_archive_does_not_have_is_not_put(
    archive: MemoryArchive, logs: ArchivedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers before it has stored anything, or stores something else."""

    async def lies(name: str, content: Iterable[bytes]) -> None:
        archive.objects[name] = b"".join(content)[:-1]

    monkeypatch.setattr(archive, "put", lies)
    with pytest.raises(Damaged):
        await put(logs)

    async def forgets(name: str, content: Iterable[bytes]) -> None:
        archive.objects.pop(name, None)

    monkeypatch.setattr(archive, "put", forgets)
    with pytest.raises(ArchiveUnavailable, match="something else"):
        await put(logs)


async def test_the_whole_of_it_for_a_thread(logs: ArchivedLogs) -> None:
    key = await put(logs)
    blocks = await logs.blocks(key)
    assert await asyncio.to_thread(b"".join, blocks) == DATA
    assert await asyncio.to_thread(b"".join, await logs.blocks(new_key())) == b""


async def test_one_that_leaves_the_archive_meanwhile_is_not_half(
    archive: MemoryArchive, logs: ArchivedLogs
) -> None:
    key = await put(logs, os.urandom(6 * BLOCK))
    blocks = await logs.blocks(key)
    assert await asyncio.to_thread(next, blocks)
    archive.objects.clear()
    with pytest.raises(ArchiveUnavailable, match="left the archive"):
        await asyncio.to_thread(b"".join, blocks)


async def test_setting_aside_takes_also_what_is_damaged(
    archive: MemoryArchive, logs: ArchivedLogs
) -> None:
    key, other = await put(logs), await put(logs)
    raw = archive.objects[name_of(key)][:-1]
    archive.objects[name_of(key)] = raw
    place = await logs.set_aside(key)
    assert place == f"memory of orphaned/{name_of(key)}"
    assert archive.objects[f"orphaned/{name_of(key)}"] == raw
    assert [found async for found in logs.listing()] == [other]


async def test_the_list_goes_on_page_by_page(
    archive: MemoryArchive, logs: ArchivedLogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [await put(logs, b"x", new_key(number)) for number in range(5)]
    archive.objects["zzz"] = b"not ours"
    names = archive.names
    monkeypatch.setattr(archive, "names", lambda after: names(after, 2))
    assert [key async for key in logs.listing()] == keys


def test_names_and_keys() -> None:
    key = AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 12)
    assert name_of(key) == "01ARZ3/01ARZ3NDEKTSV4RRFFQ69G5FAV/12.log.gz"
    assert key_of(name_of(key)) == key
    folder = "01ARZ3/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for other in (
        "",
        "x",
        f"orphaned/{name_of(key)}",
        name_of(key)[:-3],
        "01ARZ3/01ARZ3/x.log.gz",
        "notes/notes/1.log.gz",
        "01ARZ4/01ARZ3NDEKTSV4RRFFQ69G5FAV/12.log.gz",
        f"{folder}.12.log.gz",
        f"{folder}/012.log.gz",
        f"{folder}/0.log.gz",
        f"{folder}/\u0661.log.gz",
        f"{folder}/{1 << 64}.log.gz",
        "\udcff/\udcff/1.log.gz",
    ):
        assert key_of(other) is None, other
