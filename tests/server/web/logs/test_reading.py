"""A log is read in pieces of whole records."""

from __future__ import annotations

import asyncio

import pytest

from remote_protocol import cri
from remote_server.web.logs.reading import LogReader
from remote_server.web.logs.start import LARGEST_RECORD
from tests.server.web.logs.test_index import KEY, STAMP, Log


@pytest.fixture
async def log() -> Log:
    return Log()


async def pieces(log: Log, offset: int = 0, block: int = 64 * 1024) -> list[bytes]:
    found: list[bytes] = []

    def take(data: bytes) -> bool:
        found.append(data)
        return True

    await log.reader.go_through(offset, log.logs.length(KEY), take, block)
    return found


async def test_pieces_are_whole_records(log: Log) -> None:
    log.write(b"".join(b"line %d\n" % number for number in range(5000)))
    found = await pieces(log)
    assert len(found) > 2
    assert all(piece.endswith(b"\n") and len(piece) <= 64 * 1024 for piece in found)
    assert b"".join(found) == await log.logs.read(KEY, 0, 1 << 20)
    assert await pieces(log, len(found[0])) == found[1:]


async def test_a_record_longer_than_a_piece_and_one_that_is_cut(log: Log) -> None:
    log.write(b"z" * 300_000 + b"\n")
    log.logs.append(KEY, STAMP)
    (found,) = await pieces(log)
    assert cri.decode(found) == b"z" * 300_000 + b"\n"


async def test_damage_without_an_end_is_passed(log: Log) -> None:
    log.logs.append(KEY, bytes(LARGEST_RECORD + 100_000) + b"\n")
    log.write(b"after\n")
    assert b"".join(await pieces(log)).endswith(b" F after\n")


async def test_the_last_records(log: Log) -> None:
    assert await log.reader.last(0) == b""
    log.write(b"".join(b"line %d\n" % number for number in range(5000)))
    last = await log.reader.last(log.logs.length(KEY), 200)
    assert cri.decode(last).splitlines()[-1] == b"line 4999"
    assert cri.decode(last).splitlines()[0].startswith(b"line 499")


async def test_who_reads_at_hand_asks_no_archive_and_a_missing_log_is_empty() -> None:
    log = Log()
    asked = 0

    async def packed() -> bool:
        nonlocal asked
        asked += 1
        return False

    reader = LogReader(log.logs, KEY, asyncio.Semaphore(1), packed)
    await reader.go_through(0, 100, lambda data: True)
    assert asked == 1
    log.write(b"a\n")
    await reader.go_through(0, log.logs.length(KEY), lambda data: True)
    assert asked == 1
