"""Old logs and jobs go as their queues and the configuration say: real store, a clock by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from remote_protocol.api.queues import QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import JobState
from remote_server.errors import NotFound
from remote_server.logs import ArchiveUnavailable
from remote_server.retention import Deletions, Retention, RetentionSettings
from remote_server.store import Store, Terms
from remote_server.store.logins import Login
from tests.support.fake_links import HandClock
from tests.support.stored import NOW, finish, running, spec, submitted


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, Terms("normal"))
    yield opened
    await opened.close()


class Scene:
    """Retention with everything around it."""

    def __init__(self, store: Store, jobs: float | None = None) -> None:
        self.store = store
        self.hands = HandClock(wall=NOW)
        self.deleted: list[AttemptId] = []
        self.forgotten: list[str] = []
        """Jobs whose artifacts were deleted."""
        self.asked = 0
        self.fault = ""
        self.stuck: set[AttemptId] = set()
        settings = RetentionSettings(every=0.005, jobs=jobs)
        self.retention = Retention(
            store, self.hands.clock, Deletions(self._delete, self._forget), settings
        )

    async def _forget(self, job: str) -> None:
        self.forgotten.append(job)

    async def _delete(self, key: AttemptId) -> None:
        self.asked += 1
        if self.fault or key in self.stuck:
            raise ArchiveUnavailable(self.fault or "it is a directory")
        self.deleted.append(key)


async def test_logs_go_by_age_and_by_size(store: Store) -> None:
    scene = Scene(store)
    for wanted in (
        QueueCreate(name="aged", log_retention=100),
        QueueCreate(name="sized", log_max_total=250),
        QueueCreate(name="kept"),
    ):
        await store.create_queue(wanted, NOW)
    keys: dict[str, list[AttemptId]] = {"aged": [], "sized": [], "kept": []}
    for queue, made in keys.items():
        for number in range(4):
            key = await running(store, queue=queue)
            await finish(store, key, now=NOW + number * 50, size=100)
            made.append(key)
    scene.hands.pass_by(201)
    await scene.retention.delete_logs()
    assert scene.deleted == [*keys["aged"][:3], *keys["sized"][:2]]
    scene.deleted.clear()
    await scene.retention.delete_logs()
    assert scene.deleted == []
    scene.hands.pass_by(1000)
    await scene.retention.delete_logs()
    assert scene.deleted == [keys["aged"][3]]


async def test_ended_jobs_are_forgotten_as_their_queue_or_the_server_says(store: Store) -> None:
    scene = Scene(store, jobs=1000)
    await store.create_queue(QueueCreate(name="brief", job_retention=100), NOW)
    ended = {}
    for queue in ("default", "brief"):
        ended[queue] = await running(store, queue=queue)
        await finish(store, ended[queue], now=NOW + 10)
    waiting = await submitted(store)
    busy = await running(store, queue="brief")
    scene.hands.pass_by(109)
    await scene.retention.forget_jobs()
    assert scene.deleted == []
    scene.hands.pass_by(2)
    assert await scene.retention.forget_jobs() == 1
    assert scene.deleted == [ended["brief"]]
    with pytest.raises(NotFound):
        await store.job(ended["brief"].job)
    # Jobs outlive their queue.
    await finish(store, busy, now=NOW + 111)
    await store.delete_queue("brief")
    scene.hands.pass_by(2000)
    assert await scene.retention.forget_jobs() == 2
    assert sorted(scene.deleted) == sorted([*ended.values(), busy])
    assert (await store.job(waiting)).state is JobState.QUEUED
    assert await store.counts() == {("default", JobState.QUEUED): 1}


async def test_without_a_wish_for_it_no_job_is_forgotten(store: Store) -> None:
    scene = Scene(store)
    key = await running(store)
    await finish(store, key)
    scene.hands.pass_by(20_000)
    assert await scene.retention.forget_jobs() == 0
    assert await store.timeline(key.job)


async def test_many_old_jobs_go_in_rounds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_server.retention._MOST_FORGOTTEN", 150)
    monkeypatch.setattr("remote_server.retention._MOMENT", 0.005)
    scene = Scene(store, jobs=10)
    for job in await store.submit([spec() for _ in range(500)], NOW):
        await store.request_cancel(job.id, "", NOW)
    scene.hands.pass_by(15)
    assert 150 <= await scene.retention.forget_jobs() < 500
    task = asyncio.create_task(scene.retention.run())
    async with asyncio.timeout(20):
        while await store.counts():
            await asyncio.sleep(0.005)
    task.cancel()


async def test_what_cannot_be_deleted_is_deleted_later(store: Store) -> None:
    scene = Scene(store, jobs=10)
    await store.create_queue(QueueCreate(name="aged", log_retention=100), NOW)
    keys = [await running(store, queue=queue) for queue in ("aged", "default")]
    for key in keys:
        await finish(store, key, now=NOW, size=100)
    scene.hands.pass_by(200)
    scene.fault = "the share is away"
    with capture_logs() as said:
        task = asyncio.create_task(scene.retention.run())
        async with asyncio.timeout(20):
            while len(said) < 3:
                await asyncio.sleep(0.005)
            assert {entry["cause"] for entry in said} == {"the share is away"}
            assert [(await store.job(key.job)).id for key in keys], "nothing was forgotten"
            scene.fault = ""
            while set(scene.deleted) != set(keys):
                await asyncio.sleep(0.005)
    assert not task.done()
    task.cancel()


async def test_one_that_cannot_be_deleted_stops_no_other(store: Store) -> None:
    scene = Scene(store, jobs=1000)
    for wanted in (
        QueueCreate(name="aged", log_retention=100),
        QueueCreate(name="sized", log_max_total=150),
    ):
        await store.create_queue(wanted, NOW)
    keys = [await running(store, queue=queue) for queue in ["aged"] * 3 + ["sized"] * 3]
    for number, key in enumerate(keys):
        await finish(store, key, now=NOW + number, size=100)
    scene.hands.pass_by(500)
    scene.stuck = {keys[0], keys[3]}
    await scene.retention.delete_logs()
    # The newest log of the queue is not deleted in place of the one that stays.
    assert scene.deleted == [keys[1], keys[2], keys[4]]
    scene.deleted.clear()
    await scene.retention.delete_logs()
    assert scene.deleted == []
    scene.hands.pass_by(1000)
    assert await scene.retention.forget_jobs() == 4
    for key in scene.stuck:
        assert (await store.job(key.job)).id == key.job
    scene.stuck.clear()
    assert await scene.retention.forget_jobs() == 2


async def test_when_many_in_a_row_cannot_be_deleted_the_round_ends(store: Store) -> None:
    scene = Scene(store)
    await store.create_queue(QueueCreate(name="aged", log_retention=100), NOW)
    for _ in range(25):
        await finish(store, await running(store, queue="aged"), now=NOW, size=100)
    scene.hands.pass_by(500)
    scene.fault = "the share is away"
    with pytest.raises(ArchiveUnavailable, match="away"):
        await scene.retention.delete_logs()
    assert scene.asked == 21


async def test_a_bug_does_not_end_the_loop(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, rounds = Scene(store), 0

    async def fail() -> None:
        nonlocal rounds
        rounds += 1
        raise RuntimeError("a bug")

    monkeypatch.setattr(scene.retention, "delete_logs", fail)
    task = asyncio.create_task(scene.retention.run())
    async with asyncio.timeout(20):
        while rounds < 3:
            await asyncio.sleep(0.005)
    task.cancel()


async def test_the_loop_removes_logins_that_nobody_confirmed(store: Store) -> None:
    scene = Scene(store)
    await store.begin_login(Login("secret", "code", "x", "::1", NOW - 600, NOW))
    loop = asyncio.create_task(scene.retention.run())
    async with asyncio.timeout(60):
        while await store.login_by_code("code", NOW - 1) is not None:
            await asyncio.sleep(0.005)
    loop.cancel()
