"""Offers leave before the commit that assigns them: when it fails, nothing has started and nothing
will. On SQLite: only its commits hold the loop."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from remote_protocol import messages as m
from remote_protocol.api.agents import AgentChange
from remote_protocol.messages import Phase, Verdict
from remote_protocol.states import AttemptState, JobState
from remote_server import dispatcher
from remote_server.errors import StoreUnavailable
from remote_server.hub import HubTerms
from tests.support.databases import new_database, sqlite_of
from tests.support.fake_agent import FakeAgent, ended, holds
from tests.support.live_hub import LiveHub, live_hub, until

_OFFERED = "SELECT count(*) FROM attempts WHERE state IN ('offered', 'accepted')"


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LiveHub]:
    """A running hub that soon tries again."""
    monkeypatch.setattr(dispatcher, "RETRY", 0.02)
    async with live_hub(tmp_path, HubTerms(), new_database(tmp_path, "sqlite")) as found:
        monkeypatch.setattr(found.hub._recovery, "_pause", 0.02)
        yield found


class Commits:
    """Does something at each commit, while the loop stands still, from the first one that assigns
    an attempt on."""

    def __init__(self, place: LiveHub, act: Callable[[], object]) -> None:
        self._database = sqlite_of(place.store)
        self._real = self._database.commit
        self._act = act
        self.seen = 0

    def __enter__(self) -> Commits:
        self._database.commit = self._commit  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        self._database.commit = self._real  # type: ignore[method-assign]

    def _commit(self) -> None:
        connection = self._database._connection
        assert isinstance(connection, sqlite3.Connection)
        if self.seen or connection.execute(_OFFERED).fetchone()[0]:
            self.seen += 1
            self._act()
        self._real()


def full() -> None:
    raise StoreUnavailable("the database cannot be used now: database or disk is full")


def arrived(agent: FakeAgent) -> bytes:
    """What has come to the agent's host, and was not read by it."""
    transport = agent.socket.get_extra_info("socket")
    with socket.socket(fileno=os.dup(transport.fileno())) as copy:
        copy.settimeout(30)
        return copy.recv(1 << 16, socket.MSG_PEEK)


async def test_an_offer_is_with_its_agent_before_its_commit(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await agent.beat()
        seen: list[bytes] = []

        def look() -> None:
            if not seen:
                seen.append(arrived(agent))
                agent.go_on_reading()

        agent.stop_reading()
        with Commits(place, look):
            job = await place.submit()
            key = await agent.start()
        assert key == (job, 1)
        assert b'"type":"offer"' in seen[0] and job.encode() in seen[0]
        await agent.finish(key)


async def test_one_whose_commit_fails_is_not_confirmed_and_comes_again(place: LiveHub) -> None:
    job = await place.submit()
    async with place.agent() as agent:
        with Commits(place, full):
            await agent.hello()
            key = await agent.offered()
            await until(lambda: not place.slot().eligible)
            assert (await place.job(job)).state is JobState.QUEUED
            assert await place.store.attempts_of(job) == []
            assert not (await agent.beat()).eligible
            offers = [said for said in agent.heard if isinstance(said, m.Offer)]
            assert len(offers) == 1, "nothing more is offered before the database works"
        await agent.hear(m.Resync)
        welcome = await agent.hello()
        assert welcome.rulings == []
        assert await agent.offered() == key == (job, 1)
        await agent.send(agent.acceptance(key))
        assert (await agent.hear(m.Confirm)).attempt == key
        await agent.finish(key)
    assert (await place.attempt(key)).state is AttemptState.ENDED
    told = [event.what for event in await place.store.timeline(job)]
    assert told.count("assigned") == told.count("accepted") == 1


async def test_an_agent_that_holds_one_whose_commit_failed_lets_go(place: LiveHub) -> None:
    """It was accepted on the disk of its host; the acceptance was not read before the hello."""
    job = await place.submit()
    async with place.agent() as agent:
        with Commits(place, full):
            await agent.hello()
            key = await agent.offered()
            await until(lambda: not place.slot().eligible)
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.ACCEPTED))
        assert [(r.attempt, r.verdict) for r in welcome.rulings] == [(key, Verdict.SUPERSEDED)]
        # Whatever it says of the former offer is of no account beside the new one.
        former = agent.acceptance(key)
        assert await agent.offered() == key
        await agent.send(former)
        await agent.send(agent.acceptance(key))
        assert (await agent.hear(m.Confirm)).attempt == key
        await agent.finish(key)
    assert (await place.job(job)).state is JobState.SUCCEEDED


async def test_one_whose_commit_failed_may_go_to_another_agent(place: LiveHub) -> None:
    job = await place.submit()
    place.hub._recovery._pause = 3600
    async with place.agent("a") as first, place.agent("b") as second:
        with Commits(place, full):
            await first.hello()
            key = await first.offered()
            await until(lambda: not place.slot("a").eligible)
        await second.hello()
        assert await second.start() == key
        # Too late, by the wrong agent: it is not heard, and what it has is not kept.
        await first.send(first.acceptance(key))
        await first.beat()
        assert not [said for said in first.heard if isinstance(said, m.Superseded)]
        place.hub._recovered()
        await first.hear(m.Resync)
        welcome = await first.hello(holds(key, Phase.ACCEPTED))
        assert [r.verdict for r in welcome.rulings] == [Verdict.SUPERSEDED]
        await second.finish(key)
    assert not [said for said in first.heard if isinstance(said, m.Confirm)]
    attempt = await place.attempt(key)
    assert (attempt.agent, attempt.state, key) == ("b", AttemptState.ENDED, (job, 1))


async def test_a_job_that_is_not_stored_is_offered_in_vain(place: LiveHub) -> None:
    """It is offered before the commit that stores it: its submitter is told that it failed."""
    async with place.agent() as agent:
        await agent.hello()
        await agent.beat()
        with Commits(place, full):
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await place.submit()
            key = await agent.offered()
        await agent.send(agent.acceptance(key))
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.ACCEPTED))
        assert [(r.attempt, r.verdict) for r in welcome.rulings] == [(key, Verdict.SUPERSEDED)]
        assert not [said for said in agent.heard if isinstance(said, m.Confirm | m.Superseded)]
        await until(lambda: place.slot().eligible)
        assert (await place.store.counts(), await place.store.demands()) == ({}, {})
        assert place.slot().leases == {}
        # Its place is free again.
        await place.submit()
        await agent.finish(await agent.start())


async def test_one_that_was_stored_in_spite_of_a_failure_is_not_lost(place: LiveHub) -> None:
    """Nobody could say whether the commit was made: the database says so to the next hello."""
    job = await place.submit()
    database = sqlite_of(place.store)

    def made_and_denied() -> None:
        database.command("COMMIT")
        full()

    async with place.agent() as agent:
        with Commits(place, made_and_denied):
            await agent.hello()
            key = await agent.offered()
            await until(lambda: not place.slot().eligible)
        assert (await place.attempt(key)).state is AttemptState.OFFERED
        await agent.hear(m.Resync)
        welcome = await agent.hello(holds(key, Phase.ACCEPTED))
        assert [r.verdict for r in welcome.rulings] == [Verdict.KEEP]
        await agent.send(agent.acceptance(key))
        assert (await agent.hear(m.Confirm)).attempt == key
        await agent.finish(key)
    assert (await place.job(job)).state is JobState.SUCCEEDED


async def test_an_end_is_committed_with_the_acceptance_of_who_comes_next(place: LiveHub) -> None:
    """A burst: each end gives its place to the next job, whose acceptance comes within a moment."""
    database = sqlite_of(place.store)
    database._ports = replace(database._ports, longest_wait=3600)
    async with place.agent() as agent:
        await agent.hello()
        await place.store.update_agent("a", AgentChange(capacity={"default": 1}))
        await agent.hear(m.Configure)
        first, second = [await place.submit() for _ in range(2)]
        key = await agent.start()
        commits: list[int] = []
        with Commits(place, lambda: commits.append(1)):
            await agent.send(ended(key))
            following = await agent.offered()
            assert (key.job, following.job) == (first, second)
            # Nothing is acknowledged before its commit, which waits for the acceptance.
            assert not [said for said in agent.heard if isinstance(said, m.Settled)]
            assert commits == []
            await agent.send(agent.acceptance(following))
            assert (await agent.hear(m.Settled)).attempt == key
            assert (await agent.hear(m.Confirm)).attempt == following
        # The one that nothing follows does not wait: else this would never end.
        await agent.finish(following)
    assert (await place.job(second)).state is JobState.SUCCEEDED


async def test_an_end_whose_shared_commit_fails_is_reported_again(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.store.update_agent("a", AgentChange(capacity={"default": 1}))
        await agent.hear(m.Configure)
        await place.submit()
        second = await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
        with Commits(place, full):
            await agent.send(ended(key))
            following = await agent.offered()
            await agent.send(agent.acceptance(following))
            await until(lambda: not place.slot().eligible)
            said = [type(s) for s in agent.heard]
            assert (said.count(m.Settled), said.count(m.Confirm)) == (0, 1)
            assert (await place.job(key)).state is JobState.RUNNING
            assert (await place.job(second)).state is JobState.QUEUED
        await agent.hear(m.Resync)
        both = [holds(key, Phase.ENDED), holds(following, Phase.ACCEPTED)]
        welcome = await agent.hello(*both)
        assert [r.verdict for r in welcome.rulings] == [Verdict.KEEP, Verdict.SUPERSEDED]
        await agent.finish(key)
        assert await agent.start() == following == (second, 1)
        await agent.finish(following)
    assert [(await place.job(one)).state for one in (key, second)] == [JobState.SUCCEEDED] * 2
