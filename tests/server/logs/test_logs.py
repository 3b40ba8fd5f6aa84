"""`remote_server.logs.logs`: one log, wherever it is; nothing is lost on the way to the archive."""

from __future__ import annotations

import asyncio
import os
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.logs import ArchiveUnavailable, Logs, LogUnavailable
from remote_server.logs import logs as module
from remote_server.logs.archived import name_of
from tests.support.log_keys import new_job_key, new_key
from tests.support.memory_logs import MemoryArchive, MemoryLogs, memory_logs

DATA = b"".join(b"%08d line of the log\n" % number for number in range(60_000))


class Place:
    """Logs in memory, with what is below them."""

    def __init__(self, worth_packing: int = 0) -> None:
        self.store, self.archive = MemoryLogs(), MemoryArchive()
        self.logs = Logs(self.store, self.archive, worth_packing)

    async def packed(self, data: bytes = DATA, key: AttemptId | None = None) -> AttemptId:
        key = key or new_key()
        self.logs.append(key, data)
        self.logs.finish(key)
        await self.logs.pack(key)
        assert self.store.length(key) is None
        return key

    def again(self) -> Logs:
        """Those of the next process."""
        return Logs(self.store, self.archive)


@pytest.fixture
def place() -> Place:
    return Place()


async def test_growing_and_reading(place: Place) -> None:
    logs, key = place.logs, new_key()
    assert (logs.length(key), await logs.size(key), await logs.read(key, 0, 9)) == (0, 0, b"")
    assert logs.append(key, b"hello ") == 6
    assert logs.append(key, b"world") == logs.length(key) == await logs.size(key) == 11
    assert await logs.read(key, 6, 3) == b"wor"
    assert logs.received == 11
    assert place.archive.asked.count(("size", name_of(key))) == 2, "while it was not there"


async def test_cutting_and_filling(place: Place) -> None:
    logs, key = place.logs, new_key()
    logs.append(key, b"0123456789")
    logs.truncate(key, 4)
    logs.append(key, b"ab")
    logs.fill(key, 3, 1.0)
    assert await logs.read(key, 0, 99) == b"0123ab"
    logs.fill(key, 300, 1.0)
    logs.append(key, b"end")
    data = await logs.read(key, 0, 999)
    assert (len(data), data[:7], data[299:]) == (303, b"0123ab\n", b"\nend")
    assert b"294 bytes of this log were lost" in data
    logs.truncate(key)
    assert logs.length(key) == 0


async def test_checksums(place: Place) -> None:
    logs, key = place.logs, new_key()
    assert logs.known_checksum(key, 0) == await logs.checksum(key, 0) == 0
    logs.append(key, b"abc")
    await logs.sync(key)
    assert await logs.checksum(key, 3) == crc32(b"abc")
    assert await logs.checksum(key, 4) is None


async def test_followers_are_woken_by_growth_gaps_and_the_end(place: Place) -> None:
    logs, key, other, changed = place.logs, new_key(), new_key(), asyncio.Event()
    with logs.follow(key, changed):
        logs.append(other, b"x")
        assert not changed.is_set()
        for call in (
            lambda: logs.append(key, b"x"),
            lambda: logs.fill(key, 9, 1.0),
            lambda: logs.finish(key),
        ):
            call()
            assert changed.is_set()
            changed.clear()
        await logs.delete(key)
        assert changed.is_set()
    changed.clear()
    logs.append(key, b"y")
    assert not changed.is_set()


async def test_two_followers_of_one_log(place: Place) -> None:
    logs, key, one, two = place.logs, new_key(), asyncio.Event(), asyncio.Event()
    with logs.follow(key, one):
        with logs.follow(key, two):
            logs.append(key, b"x")
            assert one.is_set() and two.is_set()
        one.clear()
        logs.append(key, b"x")
        assert one.is_set()
    assert not logs._followers


async def test_packed_logs_read_like_others(place: Place) -> None:
    key, logs = await place.packed(), place.logs
    assert (logs.at_hand(key), logs.packed, place.store.logs) == (False, 1, {})
    assert len(place.archive.objects[name_of(key)]) < len(DATA) / 5
    assert await logs.size(key) == len(DATA)
    assert await logs.read(key, 0, len(DATA) + 5) == DATA
    assert await logs.read(key, 999_999, 300_000) == DATA[999_999:1_299_999]
    assert await logs.read(key, len(DATA), 10) == b""
    await logs.delete(key)
    assert (await logs.read(key, 0, 10), place.archive.objects) == (b"", {})


async def test_short_and_empty_logs_are_not_worth_packing() -> None:
    for worth, least in ((0, 1), (100, 100)):
        place = Place(worth)
        short, long = new_key(1), new_key(2)
        place.logs.truncate(short)
        place.logs.append(short, b"x" * (least - 1))
        place.logs.append(long, b"x" * least)
        place.logs.finish(short)
        place.logs.finish(long)
        place.logs.finish(new_key())
        assert list(place.logs.finished) == [long]
        assert list(place.logs.unpacked()) == [long]


@pytest.mark.parametrize("when", ["put", "stored", "size", "get"])
async def test_a_fault_of_the_archive_leaves_the_log(place: Place, when: str) -> None:
    """Before the put, after everything was sent, and when it is to be confirmed."""
    logs, key = place.logs, new_key()
    logs.append(key, DATA)
    ask = place.archive._ask

    async def fault(*call: str) -> None:
        await ask(*call)
        if call[0] == when:
            raise ArchiveUnavailable("the share is away")

    place.archive._ask = fault  # type: ignore[method-assign]
    for failures in (1, 2):
        with pytest.raises(ArchiveUnavailable, match="away"):
            await logs.pack(key)
        assert logs.pack_failures == failures
        assert await logs.read(key, 0, len(DATA)) == DATA
    place.archive._ask = ask  # type: ignore[method-assign]
    await logs.pack(key)
    assert (logs.packed, logs.at_hand(key)) == (1, False)
    assert await logs.read(key, 0, len(DATA)) == DATA


async def test_while_the_archive_does_not_answer_all_else_goes_on(place: Place) -> None:
    logs, key, other = place.logs, new_key(), new_key()
    logs.append(key, DATA)
    place.archive.gate.clear()
    packing = asyncio.ensure_future(logs.pack(key))
    await asyncio.sleep(0)
    assert await logs.read(key, 0, 9) == DATA[:9]
    assert logs.append(other, b"x") == 1
    logs.begin(new_key())
    place.archive.gate.set()
    await packing
    assert await logs.read(key, 0, len(DATA)) == DATA


@pytest.mark.parametrize("change", ["append", "truncate", "fill", "begin", "delete"])
async def test_a_log_that_changes_while_it_is_packed_stays(place: Place, change: str) -> None:
    logs, key = place.logs, new_key()
    logs.append(key, b"before\n")
    place.archive.gate.clear()
    packing = asyncio.ensure_future(logs.pack(key))
    await asyncio.sleep(0)
    match change:
        case "append":
            logs.append(key, b"after\n")
        case "truncate":
            logs.truncate(key, 3)
        case "fill":
            logs.fill(key, 8, 1.0)
        case "begin":
            logs.begin(key)
    deleting = asyncio.ensure_future(logs.delete(key)) if change == "delete" else None
    await asyncio.sleep(0)
    place.archive.gate.set()
    await packing
    if deleting is not None:
        await deleting
    left = {"append": b"before\nafter\n", "truncate": b"bef", "fill": b"before\n\n"}
    assert await logs.read(key, 0, 99) == left.get(change, b"")
    assert (place.archive.objects, logs.packed) == ({}, 0)


async def test_a_crash_between_put_and_removal_leaves_both_and_the_store_counts(
    place: Place,
) -> None:
    key = new_key()
    place.logs.append(key, DATA)
    await place.logs.archived.put(key, [DATA])
    again = place.again()
    assert again.at_hand(key)
    assert await again.read(key, 0, len(DATA)) == DATA
    assert list(again.unpacked()) == [key]
    await again.pack(key)
    assert (place.store.logs, len(place.archive.objects)) == ({}, 1)
    assert await again.read(key, 0, len(DATA)) == DATA


async def test_a_log_that_two_pack_at_once_is_packed_once(place: Place) -> None:
    """The packer, which looks for logs at its start, and another call."""
    logs, key = place.logs, new_key()
    logs.append(key, DATA)
    place.archive.gate.clear()
    both = [asyncio.ensure_future(logs.pack(key)) for _ in range(2)]
    await asyncio.sleep(0)
    place.archive.gate.set()
    await asyncio.gather(*both)
    assert (logs.packed, logs.at_hand(key)) == (1, False)
    assert await logs.read(key, 0, len(DATA)) == DATA


async def test_packing_what_is_gone_is_nothing(place: Place) -> None:
    assert await place.logs.pack(new_key()) == 0.0
    assert (place.archive.objects, place.logs.packed) == ({}, 0)


async def test_a_log_begins_without_what_lies_there(place: Place) -> None:
    """Beside a restored, older database."""
    key = await place.packed()
    place.archive.fault = "the archive need not answer for it"
    again = place.again()
    again.append(key, b"of somebody else\n")
    again.begin(key)
    assert (await again.size(key), await again.read(key, 0, 9)) == (0, b"")
    again.append(key, b"own\n")
    assert await again.read(key, 0, 99) == b"own\n"
    assert await again.checksum(key, 4) == crc32(b"own\n")


async def test_logs_of_this_process_need_no_file_to_begin(place: Place) -> None:
    key = new_job_key()
    place.logs.begin(key)
    assert (place.store.logs, place.archive.asked) == ({}, [])


async def test_packed_logs_of_attempts_that_have_not_ended_are_unpacked(place: Place) -> None:
    """Only beside a restored, older database."""
    key, missing, new = await place.packed(), new_key(), new_job_key()
    again = place.again()
    assert again.perhaps_packed([key, missing, new]) == [key, missing]
    await again.reopen([key, missing])
    assert (again.length(key), again.length(missing)) == (len(DATA), 0)
    assert await again.checksum(key, len(DATA)) == crc32(DATA)
    again.append(key, b"tail")
    assert await again.read(key, len(DATA) - 1, 99) == b"\ntail"
    again.finish(key)
    await again.pack(key)
    assert await again.read(key, 0, len(DATA) + 9) == DATA + b"tail"


async def test_without_the_archive_it_goes_on_without_what_is_packed(place: Place) -> None:
    key = await place.packed()
    place.archive.fault = "away"
    again = place.again()
    await again.reopen([key])
    assert again.length(key) == 0, "the agent sends all of it again"


async def test_an_archive_that_hangs_is_waited_for_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.01)
    keys = [await place.packed() for _ in range(3)]
    again = place.again()
    place.archive.gate.clear()
    place.archive.asked.clear()
    async with asyncio.timeout(20):
        await again.reopen(keys)
    assert place.archive.asked == [("size", name_of(keys[0]))]
    place.archive.gate.set()
    # One that is damaged keeps no other from being unpacked.
    place.archive.objects[name_of(keys[0])] = b"no log"
    await again.reopen(keys)
    assert [again.length(key) for key in keys] == [0, len(DATA), len(DATA)]


async def test_an_archive_that_is_away_is_said_to_who_reads(place: Place) -> None:
    key = await place.packed(os.urandom(1000))
    again = place.again()
    place.archive.fault = "away"
    for call in (again.size(key), again.read(key, 0, 9), again.delete(key)):
        with pytest.raises(LogUnavailable, match="away"):
            await call


def test_closing_closes_both() -> None:
    logs = memory_logs()
    logs.close()
    assert logs.archived._archive.fault == "closed"  # type: ignore[attr-defined]
