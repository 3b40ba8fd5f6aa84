"""What every store of artifacts promises."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_server.artifacts import ArtifactStore, LocalArtifacts
from remote_server.disk.reserve import Reserve

KEY = AttemptId("01KADVTZ7WSMA11ESTSMA11EST", 2)


@pytest.fixture(params=[LocalArtifacts])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    (tmp_path / "artifacts").mkdir()
    made: ArtifactStore = request.param(tmp_path / "artifacts", Reserve(tmp_path, 0))
    return made


def put(store: ArtifactStore, data: bytes, number: int = 1, offset: int = 0) -> None:
    store.append(KEY, number, offset, memoryview(data))


async def test_one_grows_and_is_whole(store: ArtifactStore) -> None:
    data = os.urandom(700_000)
    assert store.length(KEY, 1) == 0 and store.touched(KEY, 1) == 0
    put(store, data[:300_000])
    put(store, data[300_000:], offset=300_000)
    assert store.length(KEY, 1) == len(data) and store.touched(KEY, 1) > 0
    assert await store.checksum(KEY, 1) == hashlib.sha256(data).hexdigest()
    await store.finish(KEY, 1)
    await store.finish(KEY, 1)
    assert await store.read(KEY, 1, 0, 10) == data[:10]
    assert await store.read(KEY, 1, 699_990, 100) == data[-10:]
    assert await store.read(KEY, 1, len(data), 10) == b""
    assert store.length(KEY, 1) == len(data)


async def test_an_empty_one(store: ArtifactStore) -> None:
    assert await store.checksum(KEY, 1) == hashlib.sha256().hexdigest()
    await store.finish(KEY, 1)
    assert await store.read(KEY, 1, 0, 10) == b""


async def test_what_has_come_is_discarded(store: ArtifactStore) -> None:
    put(store, b"abc")
    put(store, b"xyz", number=2)
    store.discard(KEY, 1)
    store.discard(KEY, 1)
    assert (store.length(KEY, 1), store.length(KEY, 2)) == (0, 3)


async def test_all_of_a_job_goes(store: ArtifactStore) -> None:
    put(store, b"abc")
    await store.finish(KEY, 1)
    put(store, b"abc", number=2)
    other = AttemptId("01KADVTZ7WEVERYTH1NGEVERYT", 1)
    store.append(other, 1, 0, memoryview(b"x"))
    await store.delete(KEY.job)
    await store.delete(KEY.job)
    assert store.length(KEY, 1) == store.length(KEY, 2) == 0
    assert store.length(other, 1) == 1
