"""Logs against their checksums, in the store and in the archive."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.logs import ArchiveUnavailable
from remote_server.logs.archived import ArchivedLogs, name_of
from remote_server.logs.examination import damage_in_archive, damage_in_store
from remote_server.logs.packed import BLOCK
from tests.support.log_keys import new_key
from tests.support.memory_logs import MemoryArchive, MemoryLogs

LOG = os.urandom(BLOCK + 1000)
CRC = crc32(LOG)
Found = Callable[[AttemptId, bytes | None, int | None], Awaitable[str | None]]


@pytest.fixture(params=["store", "archive"])
def found(request: pytest.FixtureRequest) -> Found:
    """What is found of a log that holds some bytes now, and had those of LOG."""

    async def look(key: AttemptId, now: bytes | None, crc: int | None) -> str | None:
        if request.param == "store":
            store = MemoryLogs()
            if now is not None:
                store.append(key, now)
            return await damage_in_store(store, key, len(LOG), crc)
        archived = ArchivedLogs(MemoryArchive())
        if now is not None:
            await archived.put(key, [now])
        return await damage_in_archive(archived, key, len(LOG), crc)

    return look


async def test_a_sound_log(found: Found) -> None:
    for crc in (CRC, None):
        assert await found(new_key(), LOG, crc) == ""


async def test_what_the_server_has_beyond_the_end_is_no_fault(found: Found) -> None:
    assert await found(new_key(), LOG + b"more", CRC) == ""


async def test_other_bytes_are_noticed_where_the_checksum_is_known(found: Found) -> None:
    other = LOG[:-1] + bytes([LOG[-1] ^ 1])
    assert "not those that were written" in (await found(new_key(), other, CRC) or "")
    assert await found(new_key(), other, None) == ""


async def test_a_short_and_a_missing_log(found: Found) -> None:
    assert await found(new_key(), None, CRC) is None
    assert await found(new_key(), LOG[:500], CRC) == f"has 500 of {len(LOG)} bytes"


async def test_a_damaged_block_is_noticed_without_a_checksum() -> None:
    archive, key = MemoryArchive(), new_key()
    await ArchivedLogs(archive).put(key, [LOG])
    raw = bytearray(archive.objects[name_of(key)])
    raw[len(raw) // 2] ^= 1
    archive.objects[name_of(key)] = bytes(raw)
    found = await damage_in_archive(ArchivedLogs(archive), key, len(LOG), None)
    assert "cannot be read" in (found or "")


async def test_of_an_archive_that_is_away_nothing_is_said() -> None:
    archive = MemoryArchive()
    archive.fault = "away"
    with pytest.raises(ArchiveUnavailable):
        await damage_in_archive(ArchivedLogs(archive), new_key(), 1, None)
