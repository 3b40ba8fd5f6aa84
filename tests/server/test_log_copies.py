"""Copies of logs: what they hold, what they are called, and that none is left out. Real store."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_server.errors import ServerError
from remote_server.log_copies import LogCopies, Member, decoded, name_of, part_of, pause_after, tgz
from remote_server.logs import Logs, LogUnavailable
from remote_server.store import Store, Terms
from tests.support.memory_logs import MemoryArchive, MemoryLogs
from tests.support.stored import finish, running

STAMP = b"2026-11-27T15:00:00.000000000Z"


def as_kept(*writes: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"".join(cri.encode(data, STAMP, stream)) for stream, data in writes)


class Bucket:
    """Keeps objects in memory; may be away."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault = ""
        self.closed = False

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        found = await asyncio.to_thread(lambda: b"".join(content))
        if self.fault:
            raise ServerError(self.fault)
        self.objects[name] = found

    def close(self) -> None:
        self.closed = True


class Scene:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.archive = MemoryArchive()
        self.kept = MemoryLogs()
        self.logs = Logs(self.kept, self.archive)
        self.bucket = Bucket()
        self.pauses: list[int] = []

    @asynccontextmanager
    async def copying(self) -> AsyncIterator[None]:
        copies = LogCopies(self.store, self.logs, self.bucket, self._pause)
        self.store.on_commit(copies.committed)
        task = asyncio.create_task(copies.run())
        async with asyncio.timeout(20):
            while await self.store.mark("log copies") is None:
                await asyncio.sleep(0.002)
        try:
            yield
            assert not task.done(), "the loop has ended"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _pause(self, failures: int) -> float:
        self.pauses.append(failures)
        return 0.002

    async def ended(self, printed: bytes, **fields: Any) -> AttemptId:
        key = await running(self.store, **fields)
        if printed:
            self.logs.append(key, as_kept((b"stdout", printed), (b"stderr", b"oh\n")))
        await finish(self.store, key, 0)
        return key

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.bucket.objects) < count:
                await asyncio.sleep(0.002)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, Terms("normal"))
    yield opened
    await opened.close()


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


def unpacked(data: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for entry in archive:
            file = archive.extractfile(entry)
            assert file is not None
            found[entry.name] = file.read()
    return found


async def test_what_ends_is_copied_and_what_ended_before_is_not(scene: Scene) -> None:
    await scene.ended(b"before\n")
    async with scene.copying():
        key = await scene.ended(b"hello\nworld", name="My pipeline/1")
        await scene.until(1)
    ((name, data),) = scene.bucket.objects.items()
    assert name.startswith("My_pipeline_1/year=") and name.endswith(f"/{key.job}/{key.job}.tgz")
    assert unpacked(data) == {"attempt-1.log": b"hello\nworldoh\n"}
    assert scene.logs.copied == 1
    assert scene.bucket.closed


async def test_the_tar_of_the_system_opens_it(scene: Scene, tmp_path: Path) -> None:
    text = b"".join(b"line %d\n" % n for n in range(50_000))
    async with scene.copying():
        await scene.ended(text)
        await scene.until(1)
    (data,) = scene.bucket.objects.values()
    assert len(data) < len(text) / 3
    (tmp_path / "copy.tgz").write_bytes(data)
    subprocess.run(["tar", "-xzf", "copy.tgz"], cwd=tmp_path, check=True)
    assert (tmp_path / "attempt-1.log").read_bytes() == text + b"oh\n"
    assert (tmp_path / "attempt-1.log").stat().st_mode & 0o777 == 0o600


async def test_a_log_in_the_archive_is_copied_too(scene: Scene) -> None:
    async with scene.copying():
        scene.bucket.fault = "s3://copies: it cannot be reached"
        key = await scene.ended(b"x\n" * 100_000)
        async with asyncio.timeout(20):
            while not scene.logs.copy_fault:
                await asyncio.sleep(0.002)
        await scene.logs.pack(key)
        assert not scene.logs.at_hand(key)
        scene.bucket.fault = ""
        await scene.until(1)
    (data,) = scene.bucket.objects.values()
    assert unpacked(data)["attempt-1.log"] == b"x\n" * 100_000 + b"oh\n"


async def test_a_bucket_that_is_away_is_told_and_nothing_is_left_out(scene: Scene) -> None:
    with capture_logs() as said:
        async with scene.copying():
            scene.bucket.fault = "s3://copies: it cannot be reached"
            keys = [await scene.ended(b"%d\n" % n) for n in range(3)]
            async with asyncio.timeout(20):
                while len(scene.pauses) < 3:
                    await asyncio.sleep(0.002)
            assert scene.logs.copy_fault == "s3://copies: it cannot be reached"
        # The server is restarted meanwhile.
        scene.bucket.fault = ""
        async with scene.copying():
            await scene.until(3)
    assert {name.split("/")[-2] for name in scene.bucket.objects} == {key.job for key in keys}
    assert scene.pauses[:3] == [1, 2, 3]
    assert scene.logs.copy_failures >= 3
    assert [line["log_level"] for line in said][:3] == ["warning"] * 3


async def test_when_it_is_back_the_fault_is_forgotten(scene: Scene) -> None:
    async with scene.copying():
        scene.bucket.fault = "away"
        await scene.ended(b"x\n")
        async with asyncio.timeout(20):
            while not scene.logs.copy_fault:
                await asyncio.sleep(0.002)
        scene.bucket.fault = ""
        await scene.until(1)
        async with asyncio.timeout(20):
            while scene.logs.copy_fault:
                await asyncio.sleep(0.002)


async def test_a_job_that_printed_nothing_and_a_damaged_log_hold_up_nobody(scene: Scene) -> None:
    async with scene.copying():
        await scene.ended(b"")
        scene.bucket.fault = "away"
        damaged = await scene.ended(b"x\n" * 1000)
        await scene.logs.pack(damaged)
        for name, packed in scene.archive.objects.items():
            scene.archive.objects[name] = packed[:30] + b"damage" + packed[36:]
        scene.logs.archived.forget(damaged)
        last = await scene.ended(b"last\n")
        scene.bucket.fault = ""
        await scene.until(1)
    (name,) = scene.bucket.objects
    assert name.split("/")[-2] == last.job


async def test_who_submitted_may_name_the_execution(scene: Scene) -> None:
    key = await running(
        scene.store, queue="default", annotations={"datahub.exec_id": "urn:li:run/7", "other": "x"}
    )
    await finish(scene.store, key, 0)
    job = await scene.store.job(key.job)
    parts = name_of(job).split("/")
    assert (parts[0], parts[4]) == ("default", "urn_li_run_7")


@pytest.mark.parametrize(
    ("text", "part"),
    [("a-b_c.9", "a-b_c.9"), ("a/b é", "a_b__"), ("..", "_.."), ("", "_"), ("x" * 200, "x" * 128)],
)
def test_parts_of_names(text: str, part: str) -> None:
    assert part_of(text) == part


def test_records_that_are_cut_by_blocks() -> None:
    data = as_kept((b"stdout", b"one\ntw"), (b"stderr", b"o\nthree\n"))
    for size in (1, 7, 64, 1000):
        blocks = [data[at : at + size] for at in range(0, len(data), size)]
        assert b"".join(decoded(blocks)) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513])
def test_members_of_any_length(size: int) -> None:
    def member(name: str, said: int) -> Member:
        content: Iterator[bytes] = iter([b"x" * size])
        return Member(name, said, 1.0, content)

    data = b"".join(tgz([member("a", size), member("b", size)]))
    assert unpacked(data) == {"a": b"x" * size, "b": b"x" * size}
    with pytest.raises(LogUnavailable, match="b has changed"):
        list(tgz([member("a", size), member("b", size + 1)]))


def test_pauses_grow_to_ten_minutes() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 50)] == [1, 2, 4, 600]
