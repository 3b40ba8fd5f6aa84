"""Outputs come with the end of their attempt, once, and go with their job."""

from __future__ import annotations

from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_OUTPUT_VALUE
from remote_server.domain.changes import Returned
from remote_server.domain.model import NO_OUTPUTS, JobOutputs
from remote_server.store import Store
from tests.support.stored import NOW, finish, running, started


async def test_they_are_kept_with_the_end(store: Store) -> None:
    key = await running(store)
    assert await store.outputs_of(key) == NO_OUTPUTS
    given = {"z": "1", "a": "two\nlines ü🙂", "large": "x" * MAX_OUTPUT_VALUE, "empty": ""}
    await finish(store, key, 3, outputs=given, outputs_warning="line 4 \0")
    assert await store.outputs_of(key) == JobOutputs(given, "line 4 ")
    assert list((await store.outputs_of(key)).values) == list(given), "in their order"


async def test_an_end_that_is_reported_again_changes_nothing(store: Store) -> None:
    key = await running(store)
    await finish(store, key, 0, outputs={"a": "1"})
    await finish(store, key, 0, outputs={"a": "2", "b": "3"})
    assert await store.outputs_of(key) == JobOutputs({"a": "1"})


async def test_each_attempt_has_its_own(store: Store) -> None:
    first = await running(store, max_attempts=3, retry_on=["exit"], retry_backoff=0)
    await finish(store, first, 1, outputs={"a": "1"})
    await store.release_due(NOW)
    (lease,) = await store.assign([(first.job, "a")], NOW)
    second = await started(store, lease)
    assert await store.outputs_of(second) == NO_OUTPUTS
    await finish(store, second, 0, outputs={"b": "2"})
    assert await store.outputs_of(first) == JobOutputs({"a": "1"})
    assert await store.outputs_of(second) == JobOutputs({"b": "2"})


async def test_one_that_came_back_has_those_of_its_end(store: Store) -> None:
    policy = {"on_return": "keep_first"}
    key = await running(store, max_attempts=2, retry_backoff=0, on_disconnect=policy)
    await store.lose(key, "silent", NOW)
    await store.record("a", Returned(key), NOW)
    await finish(store, key, 0, outputs={"a": "1"})
    assert await store.outputs_of(key) == JobOutputs({"a": "1"})
    assert (await store.job(key.job)).attempt == key.number


async def test_they_go_with_their_job(store: Store) -> None:
    key = await running(store)
    await finish(store, key, 0, outputs={"a": "1"})
    assert await store.forget_jobs([key.job]) == 1
    assert await store.outputs_of(key) == NO_OUTPUTS
    assert await store.outputs_of(AttemptId(key.job, 0)) == NO_OUTPUTS
    assert await store.check() == []
