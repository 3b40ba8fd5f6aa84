"""What every store of contents promises."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from remote_server.contents import ContentStore, LocalContents
from remote_server.contents.ports import PartKey
from remote_server.disk.reserve import Reserve

DATA = os.urandom(700_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
KEY = PartKey(DIGEST, "01KADVTZ7WSMA11ESTSMA11EST")
OTHER = KEY._replace(owner="01KADVTZ7WSMA11ESTSMA11ESX")


@pytest.fixture(params=[LocalContents])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ContentStore:
    (tmp_path / "contents").mkdir()
    made: ContentStore = request.param(tmp_path / "contents", Reserve(tmp_path, 0))
    return made


async def test_one_grows_and_is_whole(store: ContentStore) -> None:
    assert store.length(KEY) == 0 and store.parts() == []
    store.append(KEY, 0, memoryview(DATA[:300_000]))
    store.append(KEY, 300_000, memoryview(DATA[300_000:]))
    (part,) = store.parts()
    assert (part.key, part.size) == (KEY, len(DATA)) and part.touched > 0
    assert await store.checksum(KEY) == DIGEST
    assert await store.size(DIGEST) is None and await store.kept() == []
    await store.finish(KEY)
    assert store.parts() == [] and await store.kept() == [DIGEST]
    assert await store.size(DIGEST) == len(DATA)
    assert await store.read(DIGEST, 0, 10) == DATA[:10]
    assert await store.read(DIGEST, len(DATA) - 10, 100) == DATA[-10:]
    assert await store.read(DIGEST, len(DATA), 10) == b""


async def test_two_senders_know_nothing_of_each_other(store: ContentStore) -> None:
    store.append(KEY, 0, memoryview(DATA))
    store.append(OTHER, 0, memoryview(b"abc"))
    assert store.length(OTHER) == 3
    await store.finish(KEY)
    assert store.length(OTHER) == 3
    store.append(OTHER, 0, memoryview(DATA))
    await store.finish(OTHER)
    assert await store.read(DIGEST, 0, len(DATA)) == DATA


async def test_what_is_not_wanted_goes(store: ContentStore) -> None:
    store.append(KEY, 0, memoryview(b"abc"))
    store.discard(KEY)
    store.discard(KEY)
    assert store.length(KEY) == 0
    store.append(KEY, 0, memoryview(DATA))
    await store.finish(KEY)
    await store.delete(DIGEST)
    await store.delete(DIGEST)
    assert await store.size(DIGEST) is None and await store.kept() == []
