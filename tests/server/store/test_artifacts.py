"""What is noted of artifacts, and what agents cannot claim."""

from __future__ import annotations

from typing import Any

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Artifact, ArtifactLost
from remote_server.domain.model import ArtifactSet, StoredArtifact
from remote_server.store import Store
from remote_server.store.artifacts import Announced
from tests.support.stored import NOW, finish, running

SUM = "0" * 64
MOST = 1_000
UPLOADING, COMPLETE, FAILED = ArtifactState


def file(key: AttemptId, number: int = 1, **fields: Any) -> Artifact:
    known = {"name": f"f{number}", "size": 10, "checksum": SUM}
    return Artifact(attempt=key, number=number, **{**known, **fields})


def lost(key: AttemptId, number: int = 1, reason: str = "gone") -> ArtifactLost:
    return ArtifactLost(attempt=key, number=number, name=f"f{number}", reason=reason)


async def announce(
    store: Store, message: Artifact | ArtifactLost, agent: str = "a", most: int = MOST
) -> Announced:
    return await store.announce_artifact(agent, message, most, NOW)


async def attempt(store: Store, artifacts: int = 3, **fields: Any) -> AttemptId:
    key = await running(store)
    await finish(store, key, artifacts=artifacts, **fields)
    return key


async def test_the_life_of_one(store: Store) -> None:
    key = await attempt(store, artifacts_warning="one was left out\0")
    assert await store.artifacts_of(key) == ArtifactSet(3, "one was left out", ())
    assert await announce(store, file(key)) == Announced(UPLOADING)
    assert await announce(store, file(key)) == Announced(UPLOADING)
    assert await store.end_artifact(key, 1, COMPLETE, "", NOW)
    assert not await store.end_artifact(key, 1, FAILED, "late", NOW)
    assert await announce(store, file(key)) == Announced(COMPLETE)
    found = await store.artifacts_of(key)
    assert found.items == (StoredArtifact(1, "f1", 10, SUM, COMPLETE),)


async def test_one_that_is_lost(store: Store) -> None:
    key = await attempt(store)
    assert await announce(store, lost(key)) == Announced(FAILED, "gone")
    assert await announce(store, lost(key)) == Announced(FAILED, "gone")
    await announce(store, file(key, 2))
    assert await announce(store, lost(key, 2)) == Announced(FAILED, "gone", stale=True)
    assert [one.state for one in (await store.artifacts_of(key)).items] == [FAILED, FAILED]


async def test_content_that_changed(store: Store) -> None:
    key = await attempt(store)
    await announce(store, file(key))
    changed = await announce(store, file(key, size=11, checksum="1" * 64))
    assert changed == Announced(UPLOADING, stale=True)
    (one,) = (await store.artifacts_of(key)).items
    assert (one.size, one.checksum) == (11, "1" * 64)


async def test_what_is_not_theirs(store: Store) -> None:
    key = await attempt(store)
    live = await running(store)
    for agent, message in (
        ("b", file(key)),
        ("a", file(live)),
        ("a", file(key, 4)),
        ("a", file(AttemptId(key.job, 2))),
        ("a", file(AttemptId("01ARYZ6S410000000000000000", 1))),
        ("b", lost(key)),
    ):
        answer = await announce(store, message, agent)
        assert answer.state is FAILED and not answer.stale
        assert "does not know" in answer.reason
    assert (await store.artifacts_of(key)).items == ()


async def test_all_together_are_bounded(store: Store) -> None:
    key = await attempt(store)
    assert (await announce(store, file(key, 1, size=600))).state is UPLOADING
    refused = await announce(store, file(key, 2, size=500))
    assert refused.state is FAILED and "larger than" in refused.reason
    assert (await announce(store, file(key, 3, size=400))).state is UPLOADING
    grown = await announce(store, file(key, 3, size=401, checksum="1" * 64))
    assert grown.state is FAILED and grown.stale


async def test_names_are_taken_once(store: Store) -> None:
    key = await attempt(store)
    await announce(store, file(key, 1))
    assert (await announce(store, file(key, 2, name="f1"))).state is FAILED
    renamed = await announce(store, file(key, 1, name="other"))
    assert renamed.state is FAILED and "another name" in renamed.reason


async def test_what_stands_still_is_found(store: Store) -> None:
    key = await attempt(store)
    await announce(store, file(key, 1))
    await announce(store, file(key, 2))
    await store.end_artifact(key, 2, COMPLETE, "", NOW)
    assert await store.stale_artifacts(NOW) == []
    assert await store.stale_artifacts(NOW + 1) == [(key, 1)]


async def test_they_go_with_their_job(store: Store) -> None:
    key = await attempt(store)
    await announce(store, file(key))
    assert await store.forget_jobs([key.job]) == 1
    assert await store.artifacts_of(key) == ArtifactSet()
    assert await store.check() == []


async def test_jobs_without_any(store: Store) -> None:
    assert await store.artifacts_of(await attempt(store, 0)) == ArtifactSet()
