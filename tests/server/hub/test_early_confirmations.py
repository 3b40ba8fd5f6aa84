"""Confirmations leave before the commit of their acceptance: when it fails, or the server dies
before it, the job that runs is not given to anybody else. On SQLite: only its commits hold the
loop."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server import dispatcher
from remote_server.domain.model import SYSTEM, Clock
from remote_server.errors import StoreUnavailable
from remote_server.hub import HubTerms
from remote_server.sweeper import Sweeper
from tests.support.databases import new_database, sqlite_of
from tests.support.fake_agent import FakeAgent, holds
from tests.support.live_hub import LiveHub, live_hub, until


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveHub]:
    """A running hub that soon tries again, and whose acceptances wait for other commits."""
    monkeypatch.setattr(dispatcher, "RETRY", 0.02)
    async with live_hub(tmp_path, HubTerms(), new_database(tmp_path, "sqlite")) as found:
        monkeypatch.setattr(found.hub._recovery, "_pause", 0.02)
        database = sqlite_of(found.store)
        database._ports = replace(database._ports, longest_wait=3600)
        yield found


def stored(place: LiveHub, key: AttemptId) -> str:
    """The state of an attempt as it would be found after the server's death."""
    with closing(sqlite3.connect(sqlite_of(place.store).path)) as other:
        where = "SELECT state FROM attempts WHERE job = ? AND number = ?"
        return str(other.execute(where, key).fetchone()[0])


async def confirmed(place: LiveHub, agent: FakeAgent, **fields: object) -> AttemptId:
    """An attempt that the agent may start, of which the database has only the offer."""
    await place.submit(**fields)
    key = await agent.offered()
    # A dispatcher that comes a turn late leaves its transaction open for the acceptance, and both
    # are committed before the confirmation: a read commits it first.
    assert (await place.attempt(key)).state is AttemptState.OFFERED
    await agent.send(agent.acceptance(key))
    assert (await agent.hear(m.Confirm)).attempt == key
    assert stored(place, key) == "offered"
    return key


async def failing(place: LiveHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next commit fails; what it held is gone."""

    def full() -> None:
        raise StoreUnavailable("the database cannot be used now: database or disk is full")

    database = sqlite_of(place.store)
    with monkeypatch.context() as patch:
        patch.setattr(database, "commit", full)
        database._commit()


def sweeper_of(place: LiveHub) -> Sweeper:
    return Sweeper(place.store, place.hub, Clock(place._wall, place._boot))


async def pass_by(place: LiveHub, sweeper: Sweeper, seconds: float) -> None:
    """Time goes by, in the steps of the sweeper."""
    until_then = place.late + seconds
    while place.late < until_then:
        place.late += 5.0
        await sweeper.sweep()


async def test_a_confirmation_leaves_before_the_commit_of_its_acceptance(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        key = await confirmed(place, agent)
        await agent.send(m.Started(attempt=key, pid=7, at=time.time()))
        await agent.finish(key)
    assert (await place.job(key)).state is JobState.SUCCEEDED
    told = [event.what for event in await place.store.timeline(key.job)]
    assert told == ["queued", "assigned", "accepted", "started", "succeeded"] or "ended" in told
    assert len([said for said in agent.heard if isinstance(said, m.Confirm)]) == 1


async def test_one_with_secrets_leaves_after_it(place: LiveHub) -> None:
    await place.hub.vault.put("A", "correct horse", None, time.time(), SYSTEM)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit(secrets=["A"])
        key = await agent.offered()
        await agent.send(agent.acceptance(key))
        assert (await agent.hear(m.Confirm)).secrets == {"A": "correct horse"}
        assert stored(place, key) == "accepted"


async def test_what_was_confirmed_in_vain_goes_on_after_a_hello(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.agent() as agent:
        await agent.hello()
        key = await confirmed(place, agent)
        await failing(place, monkeypatch)
        await until(lambda: not place.slot().eligible)
        assert stored(place, key) == "offered"
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.RUNNING))
        assert [r.verdict for r in welcome.rulings] == [Verdict.KEEP]
        await agent.send(m.Started(attempt=key, pid=7, at=time.time()))
        await agent.finish(key)
    job = await place.job(key)
    assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
    told = [event.what for event in await place.store.timeline(key.job)]
    assert told.count("accepted") == told.count("started") == 1


@pytest.mark.parametrize("again", [False, True])
async def test_what_was_confirmed_in_vain_is_given_to_nobody_else(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Its agent is away for longer than an offer lives; `again`: it has said once that it runs."""
    sweeper = sweeper_of(place)
    async with place.agent("a") as first:
        await first.hello()
        key = await confirmed(place, first)
        await failing(place, monkeypatch)
        if again:
            await first.hear(m.Resync)
            await first.hello(holds(key, Phase.RUNNING))
            assert stored(place, key) == "accepted"
        first.cut()
    await until(lambda: place.hub.slot("a") is None)
    await sweeper.sweep()
    async with place.agent("b") as second:
        await second.hello()
        await pass_by(place, sweeper, 300)
        await second.beat()
        assert (await place.job(key)).state is JobState.ASSIGNED
        assert not [said for said in second.heard if isinstance(said, m.Offer)]
        async with place.agent("a") as back:
            welcome = await back.hello(holds(key, Phase.RUNNING))
            assert [r.verdict for r in welcome.rulings] == [Verdict.KEEP]
            await back.finish(key)
        assert not [said for said in second.heard if isinstance(said, m.Offer)]
    job = await place.job(key)
    assert (job.state, job.attempt, job.agent) == (JobState.SUCCEEDED, 1, "a")


async def test_what_was_confirmed_in_vain_is_lost_by_its_own_policy(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeper = sweeper_of(place)
    policy = {"lost_after": "5m"}
    async with place.agent("a") as first:
        await first.hello()
        key = await confirmed(place, first, on_disconnect=policy, max_attempts=2, retry_backoff=0)
        await failing(place, monkeypatch)
        first.cut()
    await until(lambda: place.hub.slot("a") is None)
    await pass_by(place, sweeper, 290)
    assert stored(place, key) == "offered"
    await pass_by(place, sweeper, 20)
    (attempt,) = await place.store.attempts_of(key.job)
    assert (attempt.state, attempt.end_reason) == (AttemptState.LOST, EndReason.LOST)
    async with place.agent("b") as second:
        await second.hello()
        following = await second.start()
        assert following == (key.job, 2), "a number of its own: the first one may have run"
        async with place.agent("a") as back:
            welcome = await back.hello(holds(key, Phase.RUNNING))
            assert [r.verdict for r in welcome.rulings] == [Verdict.SUPERSEDED]
        await second.finish(following)


async def test_an_offer_without_an_answer_goes_back_as_ever(place: LiveHub) -> None:
    sweeper = sweeper_of(place)
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()
        await sweeper.sweep()
        for _ in range(13):
            place.late += 5.0
            await agent.beat()
            await sweeper.sweep()
        assert (await agent.hear(m.Superseded)).attempt == key
        assert (await place.job(key)).state is JobState.QUEUED


async def test_a_cancel_after_the_confirmation_ends_nothing_by_itself(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        key = await confirmed(place, agent)
        await place.store.request_cancel(key.job, "enough", time.time())
        assert (await agent.hear(m.Cancel)).attempt == key
        assert stored(place, key) == "accepted"
        assert (await place.job(key)).state is JobState.ASSIGNED
        order = [type(said) for said in agent.heard]
        assert order.index(m.Confirm) < order.index(m.Cancel)


async def test_another_host_that_lacks_it_does_not_start_it_again(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took over the name while the first host was away, and its job may run there."""
    async with place.agent("a") as first:
        await first.hello(installation="one")
        key = await confirmed(place, first)
        await failing(place, monkeypatch)
        first.cut()
    await until(lambda: place.hub.slot("a") is None)
    place.late += 3.5 * place.hub.terms.heartbeat_interval
    async with place.agent("a") as second:
        await second.hello(installation="two")
        await place.reaches(key, AttemptState.LOST)
    job = await place.job(key)
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.LOST)


async def test_a_host_that_lacks_it_has_not_accepted_it(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.offered()
        place.store.gate = gate = asyncio.Event()
        await agent.send(agent.acceptance(key))
        await agent.beat()
        assert not [said for said in agent.heard if isinstance(said, m.Confirm)]
        agent.cut()
    await until(lambda: place.hub.slot("a") is None)
    place.store.gate = None
    assert stored(place, key) == "offered"
    async with place.agent() as agent:
        await agent.hello()
        assert await agent.offered() == key
        gate.set()
        await agent.send(agent.acceptance(key))
        await agent.hear(m.Confirm)
