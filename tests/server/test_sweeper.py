"""The sweeper gives up what time has overtaken: real store, clocks moved by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from remote_protocol.api.registration import Registration
from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import CommandSpec
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.changes import Accepted, Running
from remote_server.domain.links import Fetching
from remote_server.domain.model import Clock
from remote_server.errors import NotFound
from remote_server.store import Store, Terms
from remote_server.sweeper import Sweeper, SweeperSettings
from tests.support.fake_links import FakeLinks, HandClock
from tests.support.stored import NOW, finish, offered, running, spec, started, submitted


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, Terms("normal"))
    yield opened
    await opened.close()


class Scene:
    """A sweeper with everything around it."""

    def __init__(self, store: Store, **settings: float) -> None:
        self.store = store
        self.hands = HandClock(wall=NOW)
        self.links = FakeLinks()
        self.sweeper = Sweeper(store, self.links, self.hands.clock, SweeperSettings(**settings))
        store.on_commit(self.links.committed)

    async def pass_by(self, seconds: float, *, beat: tuple[str, ...] = ()) -> None:
        """Time goes by in the sweeper's own steps; agents in `beat` are heard all the time."""
        rest = seconds
        while rest > 0:
            step = min(rest, 5.0)
            rest -= step
            self.hands.pass_by(step)
            for name in beat:
                self.links.heard[name] = self.hands.boot
            await self.sweeper.sweep()

    async def state(self, key: AttemptId) -> JobState:
        return (await self.store.job(key.job)).state


async def test_a_silent_agents_attempt_is_lost_after_the_jobs_own_time(store: Store) -> None:
    scene = Scene(store)
    hasty = await running(store, on_disconnect={"lost_after": 30}, max_attempts=2)
    persistent = await running(store)
    other = await running(store, "b", on_disconnect={"lost_after": 30})
    scene.links.connect("b")
    await scene.pass_by(29, beat=("b",))
    assert await scene.state(hasty) is JobState.RUNNING
    await scene.pass_by(5, beat=("b",))
    assert await scene.state(hasty) is JobState.QUEUED
    assert await scene.state(persistent) is JobState.RUNNING
    assert scene.links.ended == [("a", hasty, "the agent 'a' was silent for 34s")]
    await scene.pass_by(570, beat=("b",))
    job = await store.job(persistent.job)
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.LOST)
    assert job.end_detail == "the agent 'a' was silent for 10m4s" or "silent" in str(job.end_detail)
    assert await scene.state(other) is JobState.RUNNING


async def test_a_heartbeat_renews_every_lease(store: Store) -> None:
    scene = Scene(store)
    keys = [await running(store, on_disconnect={"lost_after": 20}) for _ in range(3)]
    scene.links.connect("a")
    for _ in range(10):
        await scene.pass_by(15, beat=("a",))
    assert {await scene.state(key) for key in keys} == {JobState.RUNNING}
    # The link stays open, but nothing comes: three intervals of silence are natural, not more.
    await scene.pass_by(40)
    assert {await scene.state(key) for key in keys} == {JobState.RUNNING}
    await scene.pass_by(10)
    assert {await scene.state(key) for key in keys} == {JobState.FAILED}


async def test_time_starts_again_when_the_server_does(store: Store) -> None:
    key = await running(store, now=NOW - 86_400)
    scene = Scene(store)
    await scene.pass_by(595)
    assert await scene.state(key) is JobState.RUNNING
    await scene.pass_by(10)
    assert await scene.state(key) is JobState.FAILED


async def test_the_servers_own_sleep_is_no_silence_of_agents(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, on_disconnect={"lost_after": 60})
    await scene.pass_by(30)
    scene.hands.pass_by(3600)  # the host was suspended: no sweep in between
    await scene.sweeper.sweep()
    await scene.pass_by(55)
    assert await scene.state(key) is JobState.RUNNING
    await scene.pass_by(10)
    assert await scene.state(key) is JobState.FAILED


async def test_a_jump_of_the_wall_clock_ends_nothing(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, timeout=60)
    lease = await offered(store)
    scene.hands.wall += 1e6
    await scene.pass_by(20)
    scene.hands.wall -= 2e6
    await scene.pass_by(20)
    assert await scene.state(key) is JobState.RUNNING
    assert await scene.state(lease.key) is JobState.ASSIGNED


async def test_an_offer_that_nobody_takes_goes_back(store: Store) -> None:
    scene = Scene(store)
    lease = await offered(store)
    accepted = await started(store, await offered(store, "b"))
    scene.links.connect("a")
    scene.links.connect("b")
    await scene.pass_by(60, beat=("a", "b"))
    assert await scene.state(lease.key) is JobState.ASSIGNED
    await scene.pass_by(10, beat=("a", "b"))
    assert await scene.state(lease.key) is JobState.QUEUED
    assert await scene.state(accepted) is JobState.RUNNING
    assert [key for _, key, _ in scene.links.ended] == [lease.key]
    # Offered once more, to the same agent: its time counts from then on.
    (again,) = await store.assign([(lease.key.job, "a")], NOW)
    assert again.key == lease.key
    await scene.pass_by(60, beat=("a", "b"))
    assert await scene.state(again.key) is JobState.ASSIGNED


async def test_an_offer_that_may_have_been_confirmed_is_not_given_to_another_agent(
    store: Store,
) -> None:
    """The server died between a confirmation and the commit of its acceptance; or its session was
    suspended then."""
    scene = Scene(store)
    away = await offered(store, on_disconnect={"lost_after": 300})
    held = await offered(store, "b", on_disconnect={"lost_after": 300})
    scene.links.connect("b")
    scene.links.answered.add(held.key)
    await scene.pass_by(55, beat=("b",))
    await scene.pass_by(240, beat=("b",))
    assert await scene.state(away.key) is JobState.ASSIGNED
    assert [how[:2] for how in scene.links.ended] == [("b", held.key)], "it did not start it"
    await scene.pass_by(10)
    job = await store.job(away.key.job)
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.LOST)
    assert "was silent for" in str(job.end_detail)


async def test_a_cancelled_job_of_a_silent_agent_is_ended(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, grace_period=5)
    other = await running(store)
    await store.request_cancel(key.job, "enough", NOW)
    await scene.pass_by(60)
    assert await scene.state(key) is JobState.RUNNING
    await scene.pass_by(10)
    job = await store.job(key.job)
    assert (job.state, job.end_reason) == (JobState.CANCELLED, EndReason.CANCELLED)
    assert (job.end_detail or "").startswith("cancelled (enough): the agent 'a' was silent for")
    assert await scene.state(other) is JobState.RUNNING


async def accepted(store: Store, agent: str = "a", **fields: Any) -> AttemptId:
    """A job that its agent holds and has not started."""
    lease = await offered(store, agent, **fields)
    await store.record(agent, Accepted(lease.key), NOW)
    return lease.key


async def test_an_agent_that_does_not_start_a_job_loses_it(store: Store) -> None:
    scene = Scene(store)
    key = await accepted(store, max_attempts=2)
    scene.links.connect("a")
    await scene.pass_by(55, beat=("a",))
    assert scene.links.cancels == []
    await scene.pass_by(10, beat=("a",))
    why = "the agent 'a' did not start the job within 1m"
    assert scene.links.cancels == [("a", key, EndReason.LOST, why)]
    assert await scene.state(key) is JobState.ASSIGNED
    await scene.pass_by(30, beat=("a",))
    assert scene.links.ended == [("a", key, why)]
    job = await store.job(key.job)
    assert (job.state, job.attempt) == (JobState.QUEUED, 1)
    assert (await store.attempts_of(key.job))[0].end_detail == why


async def test_a_job_that_waits_for_its_files_has_its_time(store: Store) -> None:
    scene = Scene(store, start_ttl=60.0)
    scene.links.connect("a")
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW)
    scene.links.fetches[lease.key] = Fetching(1, 100)
    await scene.pass_by(600, beat=("a",))
    assert scene.links.cancels == [] and await scene.state(lease.key) is JobState.ASSIGNED
    del scene.links.fetches[lease.key]
    await scene.pass_by(70, beat=("a",))
    assert lease.key in [cancel[1] for cancel in scene.links.cancels]


async def test_a_queue_on_a_slow_agent_is_worked_off_in_peace(store: Store) -> None:
    scene = Scene(store)
    keys = [await accepted(store) for _ in range(6)]
    scene.links.connect("a")
    for key in keys:
        await scene.pass_by(50, beat=("a",))
        await store.record("a", Running(key, 7, NOW), NOW)
    assert not scene.links.cancels and not scene.links.ended
    assert {await scene.state(key) for key in keys} == {JobState.RUNNING}


async def test_an_agent_is_reminded_of_a_timeout(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, timeout=60, grace_period=10)
    scene.links.connect("a")
    await scene.pass_by(100, beat=("a",))
    assert scene.links.cancels == []
    await scene.pass_by(10, beat=("a",))
    assert scene.links.cancels == [
        ("a", key, EndReason.TIMEOUT, "the server enforces the timeout of 1m")
    ]
    await scene.pass_by(60, beat=("a",))
    assert len(scene.links.cancels) in (2, 3)  # said again, but not at each sweep
    assert await scene.state(key) is JobState.RUNNING
    timeline = [entry.what for entry in await store.timeline(key.job)]
    assert timeline.count("timeout_enforced") == 1


async def test_a_timeout_stays_one_after_a_new_link_and_a_cancel(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, timeout=60, grace_period=10)
    scene.links.connect("a")
    await scene.pass_by(110, beat=("a",))
    await store.request_cancel(key.job, "too slow", scene.hands.wall)
    lease = (await store.leases_of("a"))[key]
    assert (lease.cancel_requested, lease.cancel_reason) == (True, EndReason.TIMEOUT)
    assert lease.cancel_detail == "the server enforces the timeout of 1m"
    # A restarted server does not grant the time again.
    again = Scene(store)
    again.links.connect("a")
    await again.pass_by(5, beat=("a",))
    assert again.links.cancels == [], "cancelled meanwhile: the hello says both"
    await finish(store, key, None, EndReason.TIMEOUT)
    job = await store.job(key.job)
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.TIMEOUT)


async def test_a_restarted_server_goes_on_enforcing_a_timeout(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, timeout=60, grace_period=10)
    scene.links.connect("a")
    await scene.pass_by(110, beat=("a",))
    again = Scene(store)
    again.links.connect("a")
    await again.pass_by(5, beat=("a",))
    assert [(kind, cancelled) for _, cancelled, kind, _ in again.links.cancels] == [
        (EndReason.TIMEOUT, key)
    ]


async def test_what_was_cancelled_before_its_timeout_is_cancelled(store: Store) -> None:
    scene = Scene(store)
    key = await running(store, timeout=60, grace_period=10)
    scene.links.connect("a")
    await store.request_cancel(key.job, "enough", NOW)
    await scene.pass_by(200, beat=("a",))
    assert scene.links.cancels == []
    lease = (await store.leases_of("a"))[key]
    assert (lease.cancel_reason, lease.cancel_detail) == (EndReason.CANCELLED, "enough")


async def test_waiting_jobs_expire_in_time(store: Store) -> None:
    hands = Clock(time.time, time.monotonic)
    scene = Scene(store)
    # Not by a sweep that comes anyway.
    sweeper = Sweeper(store, scene.links, hands, SweeperSettings(interval=3600.0))
    job = await submitted(store, time.time(), expires_in=0.1)
    task = asyncio.create_task(sweeper.run())
    async with asyncio.timeout(30):
        while (await store.job(job)).state is JobState.QUEUED:
            await asyncio.sleep(0.005)
    ended = await store.job(job)
    assert ended.end_reason is EndReason.EXPIRED
    assert (ended.end_detail or "").endswith("never started: no agent serves queue 'default'")
    assert ended.ended_at is not None and ended.ended_at - ended.created_at >= 0.1
    task.cancel()


async def test_hundreds_of_jobs_expire_together(store: Store) -> None:
    scene = Scene(store)
    await store.submit([spec(expires_in=1) for _ in range(1100)], NOW)
    await scene.pass_by(5)
    assert await store.counts() == {("default", JobState.FAILED): 1100}


async def test_contact_is_saved_once_a_minute(store: Store) -> None:
    scene = Scene(store)
    from remote_protocol.messages import Hello

    hello = Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        agent_version="1",
    )
    for name in ("a", "b"):
        await store.bump_epoch(name, hello, "", NOW)
        scene.links.connect(name)
    await scene.pass_by(55, beat=("a",))
    assert (await store.agent("a")).last_seen_at == NOW
    await scene.pass_by(5, beat=("a",))
    assert (await store.agent("a")).last_seen_at == NOW + 60
    assert (await store.agent("b")).last_seen_at == NOW


async def test_ephemeral_agents_go_when_they_are_silent(store: Store) -> None:
    scene = Scene(store, ephemeral_after=120.0)
    token = await store.create_token("registration", "h", "t", NOW)
    for name in ("idle", "busy", "linked"):
        wanted = Registration(name=name, fingerprint=name, ephemeral=True)
        await store.register(wanted, token, f"rat{name}", NOW)
    key = await running(store, "busy")
    scene.links.connect("linked")
    await scene.pass_by(60)
    assert len(await store.agents()) == 3
    await scene.pass_by(120, beat=("linked",))
    assert [agent.name for agent in await store.agents()] == ["busy", "linked"]
    await finish(store, key, agent="busy")
    await scene.pass_by(60, beat=("linked",))
    with pytest.raises(NotFound):
        await store.agent("busy")
    assert [agent.name for agent in await store.agents()] == ["linked"]


async def test_one_failing_sweep_does_not_end_the_loop(store: Store) -> None:
    scene = Scene(store, interval=0.01)
    sweeps: list[int] = []

    async def fail() -> None:
        sweeps.append(1)
        raise RuntimeError("a bug")

    scene.sweeper.sweep = fail  # type: ignore[method-assign]
    task = asyncio.create_task(scene.sweeper.run())
    deadline = time.monotonic() + 20
    while len(sweeps) < 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    task.cancel()


async def test_many_leases_are_swept_in_pages(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_server.sweeper._PAGE", 7)
    scene = Scene(store)
    jobs = await store.submit([spec() for _ in range(50)], NOW)
    leases = await store.assign([(job.id, f"a{n % 9}") for n, job in enumerate(jobs)], NOW)
    await asyncio.gather(*(started(store, lease) for lease in leases))
    await scene.pass_by(610)
    assert await store.counts() == {("default", JobState.FAILED): 50}
    states = {(await store.attempts_of(job.id))[0].state for job in jobs}
    assert states == {AttemptState.LOST}
    assert len(scene.links.ended) == 50


async def test_a_job_that_comes_while_it_sleeps_expires_in_time(store: Store) -> None:
    sweeper = Sweeper(
        store,
        FakeLinks(),
        Clock(time.time, time.monotonic),
        SweeperSettings(interval=3600.0),
    )
    store.on_commit(sweeper.committed)
    working = asyncio.create_task(sweeper.run())
    await asyncio.sleep(0)
    [job] = await store.submit([CommandSpec(command=["true"], expires_in=0.05)], time.time())
    try:
        async with asyncio.timeout(30):
            while (ended := await store.job(job.id)).state is not JobState.FAILED:
                await asyncio.sleep(0.005)
    finally:
        working.cancel()
    assert ended.end_reason is EndReason.EXPIRED


async def nothing_to_delete(key: AttemptId) -> None:
    raise AssertionError(f"there is no log of {key} to delete")
