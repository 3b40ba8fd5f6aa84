"""What every log store and every archive has to promise: `remote_server.logs.ports`.

An adapter joins by a line in `STORES` or `ARCHIVES`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.disk.reserve import Reserve
from remote_server.logs import Archive, LogStore, LogUnavailable
from remote_server.logs.local.archive import DirectoryArchive
from remote_server.logs.local.store import FileLogs
from tests.support.log_keys import new_key
from tests.support.memory_logs import MemoryArchive, MemoryLogs


def _files(folder: Path) -> LogStore:
    folder.mkdir(mode=0o700)
    return FileLogs(folder, Reserve(folder, 0))


def _directory(folder: Path) -> Archive:
    folder.mkdir(mode=0o700)
    return DirectoryArchive(folder)


STORES: dict[str, Callable[[Path], LogStore]] = {"files": _files, "memory": lambda _: MemoryLogs()}
ARCHIVES: dict[str, Callable[[Path], Archive]] = {
    "directory": _directory,
    "memory": lambda _: MemoryArchive(),
}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogStore]:
    found = STORES[request.param](tmp_path / "logs")
    yield found
    found.close()


@pytest.fixture(params=ARCHIVES)
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    found = ARCHIVES[request.param](tmp_path / "archive")
    yield found
    found.close()


# A store ---------------------------------------------------------------------------------------


def test_bytes_are_appended_and_read_from_anywhere(store: LogStore) -> None:
    key = new_key()
    assert store.length(key) is None
    assert store.read(key, 0, 10) is None
    assert store.append(key, b"hello ") == 6
    assert store.append(key, memoryview(b"world")) == 11
    assert store.append(key, b"") == 11
    assert store.length(key) == 11
    assert store.read(key, 0, 100) == b"hello world"
    assert store.read(key, 6, 3) == b"wor"
    assert store.read(key, 11, 3) == b""
    assert store.read(key, 99, 3) == b""


@pytest.mark.parametrize("released", [False, True])
def test_what_was_released_goes_on(store: LogStore, released: bool) -> None:
    key = new_key()
    store.append(key, b"one")
    for call in (
        lambda: store.append(key, b"two"),
        lambda: store.truncate(key, 4),
        lambda: store.extend(key, 6, b"", b"\n"),
    ):
        if released:
            store.release(key)
        call()
    store.release(key)
    store.release(key)
    assert (store.length(key), store.read(key, 0, 9)) == (6, b"onet\0\n")


def test_attempts_of_a_job_do_not_mix(store: LogStore) -> None:
    first = new_key()
    second = AttemptId(first.job, 2)
    store.append(first, b"one")
    store.append(second, b"two")
    store.delete(first)
    assert (store.length(first), store.read(second, 0, 9)) == (None, b"two")


def test_cutting(store: LogStore) -> None:
    key = new_key()
    store.append(key, b"0123456789")
    store.truncate(key, 20)
    assert store.length(key) == 10
    store.truncate(key, 4)
    store.append(key, b"ab")
    assert store.read(key, 0, 99) == b"0123ab"
    missing = new_key()
    store.truncate(missing, 0)
    assert (store.length(missing), store.read(missing, 0, 9)) == (0, b"")


def test_extending(store: LogStore) -> None:
    key = new_key()
    store.append(key, b"0123")
    store.extend(key, 3, b"ab", b"c")
    assert store.read(key, 0, 99) == b"0123"
    store.extend(key, 20, b"ab", b"c")
    store.append(key, b"end")
    assert store.read(key, 0, 99) == b"0123ab" + bytes(13) + b"cend"
    new = new_key()
    store.extend(new, 3, b"", b"\n")
    assert store.read(new, 0, 9) == b"\0\0\n"


async def test_checksums_are_of_the_first_bytes(store: LogStore) -> None:
    key = new_key()
    assert await store.checksum(key, 1, "a") is None
    store.append(key, b"abc")
    store.append(key, b"def")
    assert store.known_checksum(key, 6) in (None, crc32(b"abcdef"))
    assert store.known_checksum(key, 3) is None
    assert await store.checksum(key, 6, "a") == crc32(b"abcdef")
    assert await store.checksum(key, 3, "a") == crc32(b"abc")
    assert await store.checksum(key, 7, "a") is None
    store.truncate(key, 2)
    store.append(key, b"x")
    assert store.known_checksum(key, 3) in (None, crc32(b"abx"))
    assert await store.checksum(key, 3, "a") == crc32(b"abx")


async def test_syncing_changes_nothing_that_is_seen(store: LogStore) -> None:
    key = new_key()
    store.append(key, b"kept")
    await asyncio.gather(store.sync(key), store.sync(key))
    store.release(key)
    await store.sync(key)
    store.probe()
    assert store.read(key, 0, 9) == b"kept"


def test_deleting_is_no_matter_of_times(store: LogStore) -> None:
    key = new_key()
    store.append(key, b"x")
    store.delete(key)
    store.delete(key)
    assert (store.length(key), list(store.content(key)), list(store.listing())) == (None, [], [])
    assert store.append(key, b"new") == 3


async def test_whole_logs_for_threads(store: LogStore) -> None:
    key, data = new_key(), bytes(range(256)) * 4000
    await asyncio.to_thread(store.restore, key, iter((data[:5], data[5:])))
    assert store.length(key) == len(data)
    assert b"".join(await asyncio.to_thread(lambda: list(store.content(key)))) == data

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise LogUnavailable("the archive is away")

    other = new_key()
    with pytest.raises(LogUnavailable, match="away"):
        await asyncio.to_thread(store.restore, other, broken())
    assert store.length(other) is None
    assert [found for found, _ in store.listing()] == [key]


def test_the_list_is_in_the_order_of_jobs_with_lengths(store: LogStore) -> None:
    keys = [new_key(number) for number in range(3)]
    for key in reversed(keys):
        store.append(key, b"x" * len(key.job))
    assert list(store.listing()) == [(key, 26) for key in keys]


def test_setting_aside(store: LogStore) -> None:
    key = new_key()
    store.append(key, b"precious")
    assert store.where(key)
    assert store.set_aside(key) != store.where(key)
    assert (store.length(key), list(store.listing())) == (None, [])


# An archive ------------------------------------------------------------------------------------


async def test_objects_are_put_whole_and_read_from_anywhere(archive: Archive) -> None:
    assert await archive.size("a/b.gz") is None
    assert await archive.get("a/b.gz", 0, 9) is None
    await archive.put("a/b.gz", iter((b"hello ", b"", b"world")))
    assert await archive.size("a/b.gz") == 11
    assert await archive.get("a/b.gz", 0, 99) == b"hello world"
    assert await archive.get("a/b.gz", 6, 3) == b"wor"
    assert await archive.get("a/b.gz", 11, 3) == b""
    assert archive.where("a/b.gz")


async def test_a_put_replaces_an_object_and_a_failed_one_leaves_it(archive: Archive) -> None:
    await archive.put("a/b", [b"old and long"])

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise LogUnavailable("the log cannot be read")

    with pytest.raises(LogUnavailable, match="cannot be read"):
        await archive.put("a/b", broken())
    with pytest.raises(LogUnavailable):
        await archive.put("a/c", broken())
    assert await archive.get("a/b", 0, 99) == b"old and long"
    assert list(await archive.names()) == ["a/b"]
    await archive.put("a/b", [b"new"])
    assert await archive.get("a/b", 0, 99) == b"new"


async def test_an_empty_object_is_one(archive: Archive) -> None:
    await archive.put("a/empty", [])
    assert (await archive.size("a/empty"), await archive.get("a/empty", 0, 9)) == (0, b"")


async def test_a_deleted_object_is_gone(archive: Archive) -> None:
    await archive.put("a/b/c", [b"x"])
    await archive.delete("a/b/c")
    await archive.delete("a/b/c")
    await archive.delete("never/was")
    assert (await archive.size("a/b/c"), list(await archive.names())) == (None, [])
    await archive.put("a/b/c", [b"y"])
    assert await archive.get("a/b/c", 0, 9) == b"y"


async def test_names_come_in_pages_in_the_order_of_characters(archive: Archive) -> None:
    names = ["0/1", "0/10", "0/2", "a-b/x", "a/b/c", "a/b.gz", "a/z", "b"]
    for name in names:
        await archive.put(name, [name.encode()])
    for limit in (1, 2, 3, 100):
        found: list[str] = []
        while page := await archive.names(found[-1] if found else "", limit):
            assert len(page) <= limit
            found += page
        assert found == sorted(names)
    assert list(await archive.names("a/", 2)) == ["a/b.gz", "a/b/c"]


async def test_many_at_once(archive: Archive) -> None:
    names = [f"{n % 3}/{n}" for n in range(30)]
    await asyncio.gather(*(archive.put(name, [name.encode()] * 100) for name in names))
    found = await asyncio.gather(*(archive.get(name, 0, 9999) for name in names))
    assert found == [name.encode() * 100 for name in names]
    await asyncio.gather(*(archive.delete(name) for name in names))
    assert list(await archive.names()) == []


async def test_two_puts_of_one_name_make_one_whole_object(archive: Archive) -> None:
    one, other = b"1" * 700_000, b"2" * 700_000
    results = await asyncio.gather(
        archive.put("a", [one[:9], one[9:]]), archive.put("a", [other]), return_exceptions=True
    )
    assert any(result is None for result in results), "at least one has done it"
    assert all(result is None or isinstance(result, LogUnavailable) for result in results)
    assert await archive.get("a", 0, 1 << 20) in (one, other)
    assert list(await archive.names()) == ["a"]
