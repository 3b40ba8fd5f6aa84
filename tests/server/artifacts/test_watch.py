"""Artifacts of which nothing comes any more are given up."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from remote_protocol.artifacts import ArtifactState
from remote_protocol.messages import Artifact
from remote_server.artifacts import ArtifactWatch, LocalArtifacts
from remote_server.disk.reserve import Reserve
from remote_server.store import Store
from tests.support.databases import new_database
from tests.support.stored import NOW, finish, running


async def test_what_stands_still_is_given_up(tmp_path: Path) -> None:
    store = await Store.open(new_database(tmp_path))
    try:
        key = await running(store)
        await finish(store, key, artifacts=2)
        for number in (1, 2):
            message = Artifact(
                attempt=key, number=number, name=f"f{number}", size=9, checksum="0" * 64
            )
            await store.announce_artifact("a", message, 100, 1.0)
        files = LocalArtifacts(tmp_path / "artifacts", Reserve(tmp_path, 0))
        files.append(key, 2, 0, memoryview(b"x"))
        # The second one is announced as long ago, and something of it has come since.
        late = files.touched(key, 2)
        watch = ArtifactWatch(files, store, lambda: late + 50, 60)
        assert await watch.look() == 1
        first, second = (await store.artifacts_of(key)).items
        assert (first.state, first.reason) == (ArtifactState.FAILED, "nothing of it came for 1m")
        assert second.state is ArtifactState.UPLOADING
        watch = ArtifactWatch(files, store, lambda: late + 100, 60)
        assert await watch.look() == 1 and await watch.look() == 0
        assert files.length(key, 2) == 0
    finally:
        await store.close()


async def test_the_loop_goes_on(tmp_path: Path) -> None:
    store = await Store.open(new_database(tmp_path))
    files = LocalArtifacts(tmp_path / "artifacts", Reserve(tmp_path, 0))
    seen = asyncio.Event()

    def wall() -> float:
        seen.set()
        return NOW

    task = asyncio.ensure_future(ArtifactWatch(files, store, wall, 0.01).run())
    await asyncio.wait_for(seen.wait(), 30)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await store.close()
