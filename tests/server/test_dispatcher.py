"""The dispatcher gives jobs by push: real store, links without sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import JobState
from remote_server import dispatcher as module
from remote_server.dispatch_signal import DispatchSignal
from remote_server.dispatcher import Dispatcher
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.changes import Accepted
from remote_server.domain.model import Clock, Demand, Lease
from remote_server.domain.scheduling import Fleet
from remote_server.errors import Stale, StoreUnavailable, UnknownQueue
from remote_server.store import Store, Terms
from remote_server.store.sqlite.database import SqliteDatabase
from tests.support.databases import unavailable
from tests.support.fake_links import FakeLinks
from tests.support.grouped import grouped, registered
from tests.support.stored import finish, running, spec, started, submitted

CLOCK = Clock(time.time, time.monotonic)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = await Store.open(database_url, Terms("normal"))
    yield opened
    await opened.close()


@pytest.fixture
async def links(store: Store) -> AsyncIterator[FakeLinks]:
    async with dispatching(store) as fake:
        yield fake


@asynccontextmanager
async def dispatching(store: Store) -> AsyncIterator[FakeLinks]:
    """Links with a running dispatcher whose slow sweep never comes."""
    fake = FakeLinks()
    dispatcher = Dispatcher(store, fake, CLOCK, sweep=3600)
    store.on_commit(dispatcher.signal.committed)
    store.on_arrival(dispatcher.arriving)
    fake.wake = dispatcher.signal.wake  # type: ignore[attr-defined]
    fake.signal = dispatcher.signal  # type: ignore[attr-defined]
    task = asyncio.create_task(dispatcher.run())
    await asyncio.sleep(0)
    yield fake
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def wake(links: FakeLinks, name: str | None = None) -> None:
    links.wake(name)  # type: ignore[attr-defined]


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.001)


async def connect(links: FakeLinks, name: str, **fields: object) -> AgentSlot:
    slot = links.connect(name, **fields)  # type: ignore[arg-type]
    wake(links, name)
    return slot


async def rested(links: FakeLinks) -> None:
    """Wait until the dispatcher has looked at everything, and waits for more."""
    await until(lambda: waits(links.signal))  # type: ignore[attr-defined]


def waits(signal: DispatchSignal) -> bool:
    return signal._waiter is not None and not signal.awake


async def release(store: Store, links: FakeLinks, lease: Lease) -> None:
    await finish(store, lease.key, agent=lease.agent, now=time.time())
    del links.agents[lease.agent].leases[lease.key]
    wake(links, lease.agent)


async def test_a_submitted_job_goes_out_at_once(store: Store, links: FakeLinks) -> None:
    await connect(links, "a")
    times = []
    for number in range(20):
        begun = time.perf_counter()
        job = await submitted(store, time.time())
        await until(lambda number=number: len(links.offers) > number)  # type: ignore[misc]
        times.append(time.perf_counter() - begun)
        assert links.offers[-1].key == (job, 1)
        await release(store, links, links.offers[-1])
    # The quickest: how long the others took says what else the machine does.
    assert min(times) < 0.05


async def test_a_job_is_stored_and_given_by_one_commit(store: Store, links: FakeLinks) -> None:
    await connect(links, "a", capacity=1)
    await rested(links)
    commits: list[ChangeSet] = []
    store.on_commit(commits.append)
    job = await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    assert [event.what for event in await store.timeline(job)] == ["queued", "assigned"]
    together = [changes.state_counts for changes in commits if job in changes.jobs]
    if isinstance(store._database, SqliteDatabase):
        assert together == [{("default", "queued"): 0, ("default", "assigned"): 1}]
    # No agent has a place for the next one: the dispatcher need not look before it is stored.
    await rested(links)
    await submitted(store, time.time())
    await rested(links)
    assert len(links.offers) == 1
    assert sum((await store.demands()).values()) == 1


async def settled(store: Store, links: FakeLinks) -> None:
    """Have the dispatcher know the fleet, with nothing left to look at."""
    await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    await release(store, links, links.offers.pop())
    await rested(links)


async def test_a_job_that_finds_a_place_is_stored_as_given(store: Store, links: FakeLinks) -> None:
    await connect(links, "a", capacity=1)
    await settled(store, links)
    commits: list[ChangeSet] = []
    store.on_commit(commits.append)
    waiter = links.signal._waiter  # type: ignore[attr-defined]
    job = await submitted(store, time.time())
    assert [lease.key for lease in links.offers] == [(job, 1)]
    assert links.signal._waiter is waiter, "no pass was made"  # type: ignore[attr-defined]
    (together,) = [changes for changes in commits if job in changes.jobs]
    assert together.state_counts == {("default", "assigned"): 1}
    assert not together.queued
    assert [event.what for event in await store.timeline(job)] == ["queued", "assigned"]
    # The place is taken: the next one waits for it.
    later = await submitted(store, time.time())
    await rested(links)
    assert len(links.offers) == 1
    await release(store, links, links.offers[0])
    await until(lambda: len(links.offers) == 2)
    assert links.offers[1].key == (later, 1)


async def test_others_that_wait_come_first(store: Store, links: FakeLinks) -> None:
    slot = await connect(links, "a", capacity=1)
    await settled(store, links)
    slot.eligible = False
    wake(links, "a")
    older = await submitted(store, time.time())
    elsewhere = await submitted(store, time.time(), labels={"with": "nobody"})
    await rested(links)
    slot.eligible = True
    links.signal.agents.add("a")  # type: ignore[attr-defined]
    newer = await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    await rested(links)
    assert links.offers[0].key == (older, 1)
    await release(store, links, links.offers[0])
    await until(lambda: len(links.offers) == 2)
    assert links.offers[1].key == (newer, 1)
    await release(store, links, links.offers[1])
    await rested(links)
    last = await submitted(store, time.time())
    assert links.offers[2].key == (last, 1), "nobody has a place for the one that waits"
    assert (await store.job(elsewhere)).state is JobState.QUEUED


async def test_jobs_of_agents_that_are_away_cost_others_nothing(
    store: Store, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [f"away{number}" for number in range(30)]
    await registered(store, away)
    await connect(links, "a", capacity=1)
    await settled(store, links)
    for name in away:
        await submitted(store, time.time(), agent=name)
    await rested(links)
    looked: list[Demand] = []
    serves = Fleet.serves

    def noted(fleet: Fleet, demand: Demand) -> bool:
        looked.append(demand)
        return serves(fleet, demand)

    monkeypatch.setattr(Fleet, "serves", noted)
    for number in range(4):
        # Two find the place taken: they wait, and are given by passes of the dispatcher.
        jobs = [await submitted(store, time.time()) for _ in range(3)]
        for job in jobs:
            await until(lambda job=job: any(lease.key.job == job for lease in links.offers))  # type: ignore[misc]
            await release(store, links, links.offers[-1])
            await rested(links)
        assert len(links.offers) == 3 * (number + 1)
    assert {demand.agent for demand in looked} == {None}
    await connect(links, "away7")
    await until(lambda: links.offers[-1].agent == "away7")


async def test_members_of_groups_come_first(store: Store, links: FakeLinks) -> None:
    await registered(store, ["a"])
    slot = await connect(links, "a", capacity=1)
    await settled(store, links)
    slot.eligible = False
    wake(links, "a")
    group = await grouped(store, time.time())
    await rested(links)
    slot.eligible = True
    links.signal.agents.add("a")  # type: ignore[attr-defined]
    await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    (member,) = await store.members(group.id, 9)
    assert links.offers[0].key.job == member.job


async def test_a_paused_queue_gives_no_job_a_place(store: Store, links: FakeLinks) -> None:
    await connect(links, "a")
    await settled(store, links)
    await store.change_queue("default", QueueChange(paused=True))
    await rested(links)
    job = await submitted(store, time.time())
    await rested(links)
    assert links.offers == []
    await store.change_queue("default", QueueChange(paused=False))
    await until(lambda: len(links.offers) == 1)
    assert links.offers[0].key == (job, 1)


async def test_a_place_of_a_job_that_is_refused_is_free_again(
    store: Store, links: FakeLinks
) -> None:
    await connect(links, "a", queues=("default", "nowhere"), capacity=1)
    await settled(store, links)
    with pytest.raises(UnknownQueue):
        await submitted(store, time.time(), queue="nowhere")
    assert links.offers == links.doubted == []
    job = await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    assert links.offers[0].key == (job, 1)


async def test_a_place_on_an_agent_that_leaves_meanwhile_is_given_back(
    store: Store, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(links, "a", capacity=1)
    await settled(store, links)
    write = store._database.write

    def leaving(*given: Any, **more: Any) -> Any:
        links.agents.pop("a", None)
        return write(*given, **more)

    monkeypatch.setattr(store._database, "write", leaving)
    job = await submitted(store, time.time())
    await rested(links)
    assert links.offers == []
    await connect(links, "b", capacity=1)
    await until(lambda: len(links.offers) == 1)
    assert (links.offers[0].agent, links.offers[0].key) == ("b", AttemptId(job, 1))


async def test_places_are_doubted_when_the_commit_fails(tmp_path: Path) -> None:
    """On SQLite, which has them offered before."""
    store = await Store.open(str(tmp_path / "server.db"))
    async with dispatching(store) as links:
        await connect(links, "a", capacity=1)
        await settled(store, links)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store._database, "commit", _disk_full)
            with pytest.raises(StoreUnavailable):
                await submitted(store, time.time())
        assert len(links.doubted) == 1
        assert links.doubted == links.offers
        await rested(links)
        job = await submitted(store, time.time())
        await until(lambda: len(links.offers) == 2)
        assert links.offers[1].key == (job, 1)
    await store.close()


def _disk_full() -> None:
    raise StoreUnavailable("the disk is full")


@pytest.mark.parametrize("priority", [0, 1])
async def test_a_new_job_takes_no_place_before_its_turn(
    store: Store, links: FakeLinks, priority: int
) -> None:
    slot = await connect(links, "a", capacity=1)
    slot.eligible = False
    wake(links, "a")
    older = await submitted(store, time.time())
    await rested(links)
    slot.eligible = True
    coming = asyncio.ensure_future(submitted(store, time.time(), priority=priority))
    # A look before the newer one is on its way finds the older one alone, and rightly gives it.
    while not (store.arrivals or coming.done()):
        await asyncio.sleep(0)
    wake(links, "a")
    newer = await coming
    await until(lambda: len(links.offers) == 1)
    assert links.offers[0].key.job == (newer if priority else older)


async def test_a_job_that_is_refused_keeps_no_place(store: Store, links: FakeLinks) -> None:
    await connect(links, "a", queues=("default", "nowhere"), capacity=1)
    await rested(links)
    with pytest.raises(UnknownQueue):
        await submitted(store, time.time(), queue="nowhere")
    await rested(links)
    assert links.offers == []
    await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)


async def test_waiting_jobs_go_out_when_an_agent_comes(store: Store, links: FakeLinks) -> None:
    jobs = await store.submit([spec(priority=number % 3) for number in range(12)], time.time())
    await rested(links)
    assert links.offers == []
    await connect(links, "a", capacity=5)
    await until(lambda: len(links.offers) == 5)
    ranked = sorted(jobs, key=lambda job: (-job.spec.priority, job.id))
    assert [lease.key.job for lease in links.offers] == [job.id for job in ranked[:5]]
    for number in range(12):
        await until(lambda number=number: len(links.offers) > number)  # type: ignore[misc]
        await release(store, links, links.offers[number])
    assert [lease.key.job for lease in links.offers] == [job.id for job in ranked]


async def test_a_large_backlog_is_worked_off(store: Store, links: FakeLinks) -> None:
    for number in range(20):
        links.connect(f"agent{number}", capacity=50)
    wake(links)
    await store.submit([spec() for _ in range(1500)], time.time())
    await until(lambda: len(links.offers) == 1000)
    await rested(links)
    assert len(links.offers) == len({lease.key for lease in links.offers}) == 1000
    assert all(len(slot.leases) == 50 for slot in links.agents.values())


async def test_an_agent_that_leaves_gets_nothing_more(store: Store, links: FakeLinks) -> None:
    await connect(links, "a")
    await connect(links, "b")
    await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    del links.agents["a"]
    wake(links, "a")
    await store.submit([spec() for _ in range(4)], time.time())
    await until(lambda: len(links.offers) == 4 + (links.offers[0].agent == "a"))
    assert {lease.agent for lease in links.offers[1:]} == {"b"}


async def test_an_agent_that_becomes_eligible_is_used(store: Store, links: FakeLinks) -> None:
    slot = links.connect("a")
    slot.eligible = False
    wake(links, "a")
    await submitted(store, time.time())
    await rested(links)
    assert links.offers == []
    slot.eligible = True
    wake(links, "a")
    await until(lambda: len(links.offers) == 1)


async def test_a_resumed_queue_is_served(store: Store, links: FakeLinks) -> None:
    await store.create_queue(QueueCreate(name="q"), time.time())
    await store.change_queue("q", QueueChange(paused=True))
    await connect(links, "a", queues=("q", "default"))
    held = await submitted(store, time.time(), queue="q")
    free = await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    assert links.offers[0].key.job == free
    await store.change_queue("q", QueueChange(paused=False))
    await until(lambda: len(links.offers) == 2)
    assert links.offers[1].key.job == held


async def test_a_retry_goes_out_when_its_time_has_come(store: Store, links: FakeLinks) -> None:
    await connect(links, "a", capacity=1)
    job = await submitted(store, time.time(), max_attempts=2, retry_on=["exit"], retry_backoff=0.15)
    await until(lambda: len(links.offers) == 1)
    lease = links.offers[0]
    await started(store, lease, time.time())
    ended = time.time()
    await finish(store, lease.key, 1, now=ended)
    links.agents["a"].leases.clear()
    await until(lambda: len(links.offers) == 2)
    assert time.time() - ended >= 0.14
    assert links.offers[1].key == (job, 2)


@pytest.mark.parametrize("back", [10.0, 3600.0])
async def test_a_clock_that_is_set_back_prolongs_no_wait(store: Store, back: float) -> None:
    links, now = FakeLinks(), {"wall": 9000.0, "boot": 50.0}
    dispatcher = Dispatcher(store, links, Clock(lambda: now["wall"], lambda: now["boot"]))
    links.connect("a", capacity=1)
    job = await submitted(store, 9000.0, max_attempts=2, retry_on=["exit"], retry_backoff=5)
    assert await dispatcher.dispatch() == 1
    await started(store, links.offers[0], 9000.0)
    await finish(store, links.offers[0].key, 1, now=9000.0)
    links.agents["a"].leases.clear()
    now["wall"], now["boot"] = 9004.0, 54.0
    dispatcher.signal.wake("a")
    assert await dispatcher.dispatch() == 0
    now["wall"] -= back
    dispatcher.signal.wake("a")
    assert await dispatcher.dispatch() == 1
    assert links.offers[1].key == (job, 2)


async def test_a_clock_that_was_set_back_while_the_server_was_away_prolongs_no_wait(
    store: Store,
) -> None:
    key = await running(store, now=9000.0, max_attempts=2, retry_on=["exit"], retry_backoff=5)
    await finish(store, key, 1, now=9000.0)
    links = FakeLinks()
    links.connect("a", capacity=1)
    dispatcher = Dispatcher(store, links, Clock(lambda: 5400.0, lambda: 1.0))
    assert await dispatcher.dispatch() == 1
    assert links.offers[0].key == (key.job, 2)


async def test_a_withdrawn_offer_is_given_again(store: Store, links: FakeLinks) -> None:
    await connect(links, "a", capacity=1)
    await submitted(store, time.time())
    await until(lambda: len(links.offers) == 1)
    await connect(links, "b", capacity=1)
    links.agents["a"].eligible = False
    links.agents["a"].leases.clear()
    wake(links, "a")
    await store.withdraw(links.offers[0].key, "paused", time.time())
    await until(lambda: len(links.offers) == 2)
    assert (links.offers[1].agent, links.offers[1].key) == ("b", links.offers[0].key)


async def test_a_cancel_between_match_and_commit_frees_the_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = FakeLinks()
    links.connect("a", capacity=1)
    dispatcher = Dispatcher(store, links, CLOCK)
    first = await submitted(store, time.time())
    second = await submitted(store, time.time())
    assign = store.assign

    async def late(pairs: list[tuple[str, str]], now: float, *more: Any) -> Sequence[Lease]:
        await store.request_cancel(first, "", now)
        return await assign(pairs, now, *more)

    monkeypatch.setattr(store, "assign", late)
    assert await dispatcher.dispatch() == 1
    assert [lease.key.job for lease in links.offers] == [second]


async def test_what_was_offered_and_is_not_stored_is_doubted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations that ran again may have found other leases; a commit may have failed."""
    links = FakeLinks()
    links.connect("a", capacity=2)
    dispatcher = Dispatcher(store, links, CLOCK)
    first, second = [await submitted(store, time.time()) for _ in range(2)]
    assign = store.assign

    async def other(pairs: list[tuple[str, str]], now: float, *more: Any) -> Sequence[Lease]:
        leases = await assign(pairs, now)
        more[0](leases)
        return [lease for lease in leases if lease.key.job == second]

    async def failing(pairs: list[tuple[str, str]], now: float, *more: Any) -> Sequence[Lease]:
        more[0]([replace(links.offers[0], key=AttemptId(pairs[0][0], 1))])
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "assign", other)
        assert await dispatcher.dispatch() == 2
        await until(lambda: bool(links.doubted))
        assert [lease.key.job for lease in links.offers] == [first, second], "each once"
        assert [lease.key.job for lease in links.doubted] == [first]
        third = await submitted(store, time.time())
        dispatcher.signal.wake("a")
        patch.setattr(store, "assign", failing)
        assert await dispatcher.dispatch() == 1
        await until(lambda: len(links.doubted) == 2)
    assert [lease.key.job for lease in links.doubted] == [first, third]
    with pytest.raises(StoreUnavailable):
        await dispatcher.dispatch()
    dispatcher.signal.wake("a")
    assert await dispatcher.dispatch() == 1
    assert links.offers[-1].key == (third, 1), "it never was an attempt"


async def test_an_agent_that_leaves_during_the_commit_blocks_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = FakeLinks()
    links.connect("a", capacity=1)
    dispatcher = Dispatcher(store, links, CLOCK)
    job = await submitted(store, time.time())
    assign = store.assign

    async def late(pairs: list[tuple[str, str]], now: float, *more: Any) -> Sequence[Lease]:
        links.agents.pop("a", None)
        links.connect("b", capacity=1)
        dispatcher.signal.wake("b")
        return await assign(pairs, now, *more)

    monkeypatch.setattr(store, "assign", late)
    await dispatcher.dispatch()
    # What has become of the commit may be heard after the pass: then that wakes it once more.
    await until(lambda: bool(links.offers) or dispatcher.signal.awake)
    await dispatcher.dispatch()
    assert [(lease.agent, lease.key) for lease in links.offers] == [("b", AttemptId(job, 1))]


async def test_when_there_is_nothing_to_do_it_sleeps(
    store: Store, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = store._database.read
    signal: Any = links.signal  # type: ignore[attr-defined]
    wait, asleep = signal.wait, False

    async def slept(seconds: float) -> None:
        nonlocal asleep
        asleep = not signal.awake
        await wait(seconds)
        asleep = False

    monkeypatch.setattr(signal, "wait", slept)

    async def counted(operation: Any, **more: Any) -> Any:
        reads.append(1)
        return await read(operation, **more)

    monkeypatch.setattr(store._database, "read", counted)
    await connect(links, "a", capacity=1)
    await store.submit([spec() for _ in range(5)], time.time())  # four of them must wait
    await until(lambda: len(links.offers) == 1 and asleep and not signal.awake)
    reads.clear()
    await asyncio.sleep(0.1)
    assert reads == []


async def test_a_missed_event_is_made_up_for_by_the_sweep(store: Store) -> None:
    links = FakeLinks()
    dispatcher = Dispatcher(store, links, CLOCK, sweep=0.03)
    task = asyncio.create_task(dispatcher.run())
    await submitted(store, time.time())
    await until(lambda: waits(dispatcher.signal))
    links.connect("a")  # nobody says so
    await until(lambda: len(links.offers) == 1)
    task.cancel()


async def test_it_recovers_when_the_database_does(
    store: Store, links: FakeLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", 0.02)
    monkeypatch.setattr("remote_server.store.sqlite.connection.BUSY_TIMEOUT", 0.01)
    job = await submitted(store, time.time())
    with unavailable(store):
        await connect(links, "a", capacity=1)
        await asyncio.sleep(0.1)
        assert links.offers == []
    await until(lambda: len(links.offers) == 1)
    assert links.offers[0].key.job == job


async def test_many_demands_take_turns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEMANDS", 7)
    links = FakeLinks()
    for number in range(0, 50, 5):
        links.connect(f"a{number}", capacity=1, labels={"host": str(number)})
    await store.submit([spec(labels={"host": str(n)}) for n in range(50)], time.time())
    # These would need more room than there is, and stay wanted for ever.
    busy = links.connect("busy", ("default",), 2, {"host": "x"})
    busy.leases[AttemptId("J", 1)] = ("default", None)
    await store.submit(
        [spec(labels={"host": "x"}, weight=0.6 + n / 100) for n in range(30)], time.time()
    )
    dispatcher = Dispatcher(store, links, CLOCK)
    assert await asyncio.wait_for(dispatcher.dispatch(), 30) == 10
    hosts = {int(lease.spec.labels["host"]) for lease in links.offers}
    assert hosts == set(range(0, 50, 5))


async def test_nothing_is_given_twice_whatever_happens(store: Store, links: FakeLinks) -> None:
    """Agents that refuse, finish, come and go at once, while jobs keep coming."""
    done: set[str] = set()

    async def live(lease: Lease, number: int) -> None:
        await asyncio.sleep(0)
        slot = links.agents[lease.agent]
        try:
            if number % 5 == 0:
                await store.withdraw(lease.key, "full", time.time())
            else:
                await store.record(lease.agent, Accepted(lease.key), time.time())
                await finish(store, lease.key, agent=lease.agent, now=time.time())
                assert lease.key.job not in done
                done.add(lease.key.job)
        except Stale:
            raise AssertionError("two agents held the same attempt") from None
        slot.leases.pop(lease.key, None)
        wake(links, lease.agent)

    tasks: list[asyncio.Task[None]] = []

    def on_offer(lease: Lease) -> None:
        tasks.append(asyncio.create_task(live(lease, len(tasks) + 1)))

    links.on_offer = on_offer
    for number in range(5):
        await connect(links, f"agent{number}", capacity=3)
    for _ in range(20):
        await store.submit([spec() for _ in range(10)], time.time())
        await asyncio.sleep(0.001)
    await until(lambda: len(done) == 200)
    await asyncio.gather(*tasks)
    assert await store.counts() == {("default", JobState.SUCCEEDED): 200}
    assert await store.demands() == {}


async def test_members_of_a_group_go_to_their_agents(store: Store, links: FakeLinks) -> None:
    await registered(store, ["a", "b", "c"])
    await connect(links, "a")
    await connect(links, "b")
    group = await grouped(store, time.time())
    await until(lambda: len(links.offers) == 2)
    members = {one.job: one.agent for one in await store.members(group.id, 9)}
    assert all(members[lease.key.job] == lease.agent for lease in links.offers)
    await connect(links, "c")
    await until(lambda: len(links.offers) == 3)
    assert {lease.agent for lease in links.offers} == {"a", "b", "c"}


async def test_so_many_of_a_group_at_a_time(store: Store, links: FakeLinks) -> None:
    names = [f"a{number}" for number in range(10)]
    await registered(store, names)
    for name in names[1:]:
        await connect(links, name)
    group = await grouped(store, time.time(), max_parallel=3)
    for count in range(3, 10):
        await until(lambda count=count: len(links.offers) == count)  # type: ignore[misc]
        await asyncio.sleep(0.01)
        assert len(links.offers) == count
        assert (await store.group(group.id)).in_flight == 3
        await release(store, links, links.offers[count - 3])
    for lease in links.offers[7:]:
        await release(store, links, lease)
    # The one that was away all the time takes nobody's turn.
    assert (await store.group(group.id)).counts[JobState.QUEUED] == 1
    await connect(links, "a0")
    await until(lambda: len(links.offers) == 10)


async def test_a_group_goes_on_with_another_dispatcher(store: Store) -> None:
    """What it may start is in the database only."""
    names = [f"a{number}" for number in range(4)]
    await registered(store, names)
    await grouped(store, time.time(), max_parallel=1)
    given = []
    for _ in names:
        store.forget_held()
        fake = FakeLinks()
        for name in names:
            fake.connect(name)
        dispatcher = Dispatcher(store, fake, CLOCK, sweep=3600)
        await dispatcher.dispatch()
        (lease,) = fake.offers
        given.append(lease.agent)
        again = Dispatcher(store, fake, CLOCK, sweep=3600)
        assert await again.dispatch() == 0
        await finish(store, lease.key, agent=lease.agent, now=time.time())
    assert given == names


async def test_priorities_hold_between_groups_and_jobs(store: Store) -> None:
    await registered(store, ["a"])
    later = await grouped(store, time.time())
    first = await submitted(store, time.time(), priority=1)
    fake = FakeLinks()
    fake.connect("a", capacity=1)
    assert await Dispatcher(store, fake, CLOCK, sweep=3600).dispatch() == 1
    assert fake.offers[0].key.job == first
    assert (await store.group(later.id)).in_flight == 0


async def test_a_retry_of_a_member_waits_its_time(store: Store, links: FakeLinks) -> None:
    await registered(store, ["a"])
    await connect(links, "a")
    await grouped(
        store,
        time.time(),
        spec={"max_attempts": 2, "retry_on": ["exit"], "retry_backoff": 0.2},
    )
    await until(lambda: len(links.offers) == 1)
    begun = time.time()
    await finish(store, await started(store, links.offers[0], begun), 1, now=begun)
    del links.agents["a"].leases[links.offers[0].key]
    wake(links, "a")
    await until(lambda: len(links.offers) == 2)
    assert time.time() - begun >= 0.2


async def test_members_of_a_paused_queue_wait(store: Store, links: FakeLinks) -> None:
    await registered(store, ["a"])
    await store.change_queue("default", QueueChange(paused=True))
    await grouped(store, time.time())
    await connect(links, "a")
    await asyncio.sleep(0.05)
    assert links.offers == []
    await store.change_queue("default", QueueChange(paused=False))
    await until(lambda: len(links.offers) == 1)


async def test_a_large_group_slows_no_other_job(store: Store, links: FakeLinks) -> None:
    await registered(store, [f"away{number:04}" for number in range(1000)] + ["a"])
    await connect(links, "a")

    async def quickest() -> float:
        times = []
        for _ in range(30):
            count, begun = len(links.offers), time.perf_counter()
            await submitted(store, time.time())
            await until(lambda count=count: len(links.offers) > count)  # type: ignore[misc]
            times.append(time.perf_counter() - begun)
            await release(store, links, links.offers[-1])
        return min(times)

    before, given = await quickest(), len(links.offers)
    for _ in range(5):
        await grouped(store, time.time(), select={"labels": {}})
    for number in range(given, given + 5):
        await until(lambda number=number: len(links.offers) > number)  # type: ignore[misc]
        await release(store, links, links.offers[number])
    await rested(links)
    assert await quickest() < 2 * before + 0.005
