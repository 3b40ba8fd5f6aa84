"""`remote_server.hub.hub` through real WebSockets: who is connected, fencing, wishes, the end."""

from __future__ import annotations

import asyncio
import time

import pytest
from structlog.testing import LogCapture

from remote_protocol import __version__
from remote_protocol import messages as m
from remote_protocol.api.agents import AgentChange
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Condition, Phase, Resync, Verdict
from remote_protocol.states import AgentState, AttemptState, EndReason, JobState
from remote_server.domain.change_set import Cancel, ChangeSet
from remote_server.domain.links import Links
from remote_server.hub import hub as module
from tests.support.fake_agent import ended, holds
from tests.support.live_hub import LiveHub, until


async def test_an_agent_comes_and_goes(place: LiveHub) -> None:
    hub = place.hub
    links: Links = hub
    assert links.slot("a") is None
    assert hub.state_of("a") is AgentState.OFFLINE
    assert (hub.contact("a"), hub.status("a").seen_at) == (None, None)
    begun = time.time()
    async with place.agent() as agent:
        await agent.hello(agent_version=__version__)
        slot = links.slot("a")
        assert slot
        assert slot.eligible
        assert slot.queues == {"default"}
        assert list(links.names()) == ["a"]
        assert hub.state_of("a") is AgentState.ONLINE
        assert hub.status("a").warning == ""
        assert hub.status("a").condition == Condition()
        assert begun - 1 <= (hub.status("a").seen_at or 0) <= time.time() + 1
        assert (await place.store.agent("a")).address == "192.0.2.1"
    await until(lambda: hub.slot("a") is None)
    assert hub.state_of("a") is AgentState.OFFLINE
    assert hub.status("a").condition is None
    assert hub.contact("a") is not None, "what was heard is remembered"
    assert "a" in place.changed

    async def written() -> bool:
        return (await place.store.agent("a")).last_seen_at is not None

    await until(written)


async def test_the_newest_link_wins(place: LiveHub) -> None:
    async with place.agent() as old:
        assert (await old.hello()).epoch == 1
        async with place.agent() as new:
            assert (await new.hello()).epoch == 2
            assert (await old.hear(m.Error)).code == "fenced"
            assert await old.closed() == CloseCode.FENCED
            assert (await new.beat()).epoch == 2
            assert place.hub.state_of("a") is AgentState.ONLINE
            assert len(place.hub.names()) == 1


async def test_of_many_links_without_a_hello_an_agent_has_the_newest(place: LiveHub) -> None:
    agents = [place.agent() for _ in range(8)]
    for agent in agents:
        await agent.__aenter__()
    for agent in agents[:-1]:
        assert await agent.closed() == CloseCode.FENCED
    assert (await agents[-1].hello()).epoch == 1
    for agent in agents:
        await agent.__aexit__(None, None, None)
    await until(lambda: not place.hub.names())


async def test_links_without_a_hello_are_few_in_all(
    place: LiveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says nothing holds memory of ours: the oldest goes, honest agents come in."""
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    silent = [place.agent(f"silent-{number}") for number in range(5)]
    for agent in silent:
        await agent.__aenter__()
    assert len(place.hub._pending) <= 3
    assert await silent[0].closed() == CloseCode.TRY_AGAIN
    async with place.agent("honest") as honest:
        assert (await honest.hello()).epoch == 1
        await honest.beat()
    for agent in silent:
        await agent.__aexit__(None, None, None)


async def test_what_the_former_link_reported_is_committed_before_the_new_hello(
    place: LiveHub,
) -> None:
    async with place.agent() as old:
        await old.hello()
        await place.submit()
        key = await old.offered()
        place.store.gate = asyncio.Event()
        await old.send(old.acceptance(key))
        await old.beat()
        async with place.agent() as new:
            saying = asyncio.ensure_future(new.hello(holds(key, Phase.ACCEPTED)))
            assert await old.closed() == CloseCode.FENCED
            assert not saying.done()
            place.store.gate.set()
            welcome = await saying
            assert [ruling.verdict for ruling in welcome.rulings] == [Verdict.KEEP]
            # The confirmation may be lost with the old link: the agent accepts again.
            await new.accept(key)
            await new.finish(key)


async def test_a_link_that_ends_while_it_is_greeted_is_forgotten(place: LiveHub) -> None:
    place.store.gate = asyncio.Event()
    async with place.agent() as agent:
        await agent.send(
            m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
        )
        await until(lambda: place.hub._hellos._locks)
        place.hub.committed(ChangeSet(removed_agents={"a": "deleted meanwhile"}))
        assert await agent.closed() == CloseCode.UNREGISTERED
        place.store.gate.set()
        await until(lambda: not place.hub._hellos._locks)
        assert place.hub.slot("a") is None
        assert not place.hub._links
        assert not place.hub._pending


async def test_a_deleted_agent_gets_nothing_from_that_moment_on(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as other:
        await agent.hello()
        await other.hello()
        pending = place.agent()
        await pending.__aenter__()
        await place.store.delete_agent("a", time.time())
        assert place.hub.slot("a") is None
        error = await agent.hear(m.Error)
        assert (error.code, "deleted" in error.detail) == ("unregistered", True)
        assert await agent.closed() == CloseCode.UNREGISTERED
        assert await pending.closed() == CloseCode.UNREGISTERED, "it would be welcome otherwise"
        await pending.__aexit__(None, None, None)
        await other.beat()


async def test_what_a_deleted_agent_runs_must_not_go_on_there(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        offer = await agent.offered()
        await place.store.delete_agent("a", time.time())
        superseded = await agent.hear(m.Superseded)
        assert superseded.attempt == offer
        assert "deleted" in superseded.detail
        assert await agent.closed() == CloseCode.UNREGISTERED


async def test_wishes_reach_the_agent_and_its_next_hello(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.store.set_wishes("a", time.time(), paused=True, comment="new disk")
        desired = (await agent.hear(m.SetMode)).desired
        assert (desired.paused, desired.comment, desired.draining) == (True, "new disk", False)
        slot = place.slot()
        assert not slot.eligible
        assert slot.reason == "it is paused: new disk"
        ack = await agent.beat()
        assert (ack.eligible, ack.reason) == (False, "it is paused: new disk")
        await place.store.set_wishes("a", time.time(), draining=True, deadline=600)
        desired = (await agent.hear(m.SetMode)).desired
        assert desired.draining
        assert 590 < (desired.drain_deadline or 0) <= 600
    async with place.agent() as agent:
        desired = (await agent.hello()).desired
        assert (desired.paused, desired.draining) == (True, True)


async def test_a_new_assignment_is_applied_live(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        change = AgentChange(labels={"gpu": "yes"}, capacity={"default": 9})
        await place.store.update_agent("a", change)
        told = await agent.hear(m.Configure)
        assert told.assignment.labels == {"gpu": "yes"}
        assert told.assignment.capacity == {"default": 9}
        assert told.heartbeat_interval == agent.welcome.heartbeat_interval
        slot = place.slot()
        assert (slot.labels, slot.capacity) == ({"gpu": "yes"}, {"default": 9})


async def test_the_agents_own_condition_counts_and_is_kept(place: LiveHub) -> None:
    full = Condition(accepting=False, reason="the disk is nearly full")
    async with place.agent() as agent:
        await agent.hello()
        ack = await agent.beat(condition=full, spool_bytes=4711)
        assert not ack.eligible
        assert place.hub.status("a").condition == full
        assert place.hub.status("a").spool_bytes == 4711
        slot = place.slot()
        assert slot.reason == "the disk is nearly full"

        async def kept() -> bool:
            return (await place.store.agent("a")).condition == full

        await until(kept)
        assert (await agent.beat()).eligible
    assert place.hub.status("a").spool_bytes == 0


async def test_an_older_agent_is_pointed_out(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello(agent_version="0.0.1")
        assert "0.0.1" in place.hub.status("a").warning


async def test_cancelling_asks_the_agent(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        job = await place.submit()
        key = await agent.start()
        await place.store.request_cancel(job, "no longer needed", time.time())
        cancel = await agent.hear(m.Cancel)
        assert (cancel.attempt.job, cancel.detail) == (job, "no longer needed")
        await agent.finish(key, end_reason=EndReason.CANCELLED, exit_code=143)
        assert (await place.job(job)).state is JobState.CANCELLED


async def test_a_lease_that_was_given_up_is_superseded(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
        await place.store.lose(key, "given up", time.time())
        place.hub.lease_ended("a", key, "given up")
        assert (await agent.hear(m.Superseded)).detail == "given up"
        slot = place.slot()
        assert slot.leases == {}


async def test_a_report_about_a_lease_that_is_gone_is_superseded(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
        # Nobody has told the link.
        await place.store.lose(key, "given up", time.time())
        await agent.send(ended(key))
        assert (await agent.hear(m.Superseded)).attempt == key


async def test_words_to_absent_agents_are_dropped(place: LiveHub) -> None:
    key = AttemptId("0" * 26, 1)
    place.hub.cancel("nobody", key, EndReason.CANCELLED, "")
    place.hub.lease_ended("nobody", key, "")
    cancel = Cancel("nobody", EndReason.CANCELLED, "")
    place.hub.committed(ChangeSet(cancels={key: cancel}, removed_agents={"nobody": ""}))


async def test_silence_makes_an_agent_stale_and_then_offline(place: LiveHub) -> None:
    async with place.agent() as agent:
        interval = (await agent.hello()).heartbeat_interval
        place.late += 2.5 * interval
        assert place.hub.state_of("a") is AgentState.STALE
        await agent.beat()
        assert place.hub.state_of("a") is AgentState.ONLINE
        place.late += 3.5 * interval
        assert (await agent.hear(m.Error)).code == "silent"
        assert await agent.closed() == CloseCode.SILENT
    assert place.hub.state_of("a") is AgentState.OFFLINE


async def test_an_agent_that_never_says_hello_is_let_go(place: LiveHub) -> None:
    async with place.agent() as agent:
        await until(lambda: place.hub._pending)
        place.late += 31
        assert "not said hello" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.SILENT
    await until(lambda: not place.hub._pending)


async def test_a_cancel_is_said_again_until_it_is_heeded(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        place.hub.cancel("a", key, EndReason.CANCELLED, "stop")
        await agent.hear(m.Cancel)
        place.late += 6
        await agent.hear(m.Cancel)


async def test_a_second_hello_sets_everything_right(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit()
        key = await agent.start()
        await agent.upload(key, b"x" * 10)
        await place.reaches(key, AttemptState.RUNNING)
        welcome = await agent.hello(
            holds(key, Phase.RUNNING, 10), holds(AttemptId(key.job, 7), Phase.ENDED)
        )
        assert [(r.attempt.number, r.verdict, r.offset) for r in welcome.rulings] == [
            (1, Verdict.KEEP, 10),
            (7, Verdict.SUPERSEDED, 0),
        ]
        assert welcome.epoch == 1
        await agent.finish(key, b"x" * 10)
        again = await agent.hello(holds(key, Phase.ENDED, 10))
        assert [r.verdict for r in again.rulings] == [Verdict.SETTLED]


async def test_stopping_tells_everyone_and_gives_offers_back(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as stranger:
        await agent.hello()
        job = await place.submit()
        await agent.offered()
        await place.hub.close()
        assert (await place.job(job)).state is JobState.QUEUED
        assert await agent.closed() == CloseCode.GOING_AWAY
        assert await stranger.closed() == CloseCode.GOING_AWAY
        async with place.agent() as late:
            assert await late.closed() == CloseCode.GOING_AWAY


async def test_a_database_that_may_have_forgotten_asks_every_agent(place: LiveHub) -> None:
    async with place.agent() as agent, place.agent("b") as other:
        for one in (agent, other):
            await one.hello()
        place.hub.database_back()
        for one in (agent, other):
            await one.hear(Resync)


async def test_trouble_after_the_end_starts_no_loop(place: LiveHub) -> None:
    await place.hub.close()
    place.hub.trouble()
    assert place.hub._recovery._task is None


async def test_a_deleted_agent_that_says_hello_again_is_told(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.store.delete_agent("a", time.time())
        await agent.send(
            m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")
        )
        assert "deleted" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED


@pytest.mark.parametrize("count", [1, 60])
async def test_comings_and_goings_leave_nothing(
    place: LiveHub, said: LogCapture, count: int
) -> None:
    for _ in range(3):
        agents = [place.agent(f"agent-{number}") for number in range(count)]
        for agent in agents:
            await agent.__aenter__()
            await agent.hello()
        for number, agent in enumerate(agents):
            if number % 2:
                agent.cut()
        for agent in agents:
            await agent.__aexit__(None, None, None)
        await until(lambda: not place.hub.names())
    hub = place.hub
    assert (len(hub._links), len(hub._pending), len(hub._hellos._locks)) == (0, 0, 0)
    await until(lambda: not hub._tasks)
    assert not [entry for entry in said.entries if entry["log_level"] == "error"]


async def test_a_restored_database_kills_nothing_and_names_it_once(
    place: LiveHub, said: LogCapture
) -> None:
    job, now = await place.submit(), time.time()
    await place.store.begin_life(1, now)
    made = int(now * 1000)
    stray, over, fresh = (AttemptId(make_ulid(made, bytes([n] * 10)), 1) for n in range(3))
    known = AttemptId(job, 1)
    async with place.agent() as agent:
        running = holds(stray, Phase.RUNNING, 5), holds(known, Phase.RUNNING, 3)
        welcome = await agent.hello(
            *running, holds(over, Phase.ENDED), holds(fresh, Phase.ACCEPTED)
        )
        rulings = {about.attempt: (about.verdict, about.offset) for about in welcome.rulings}
        assert rulings == {
            stray: (m.Verdict.KEEP, 5),
            known: (m.Verdict.KEEP, 3),
            over: (m.Verdict.SETTLED, 0),
            fresh: (m.Verdict.SUPERSEDED, 0),
        }
        await agent.hello(*running)
        await agent.send_log(stray, 5, b"12345")
        assert await agent.hear(m.Ack) == m.Ack(attempt=stray, offset=10)
        await agent.send(m.Missing(attempt=stray, offset=5), ended(stray, b"0123456789"))
        assert (await agent.hear(m.Settled)).attempt == stray
        assert not [heard for heard in agent.heard if isinstance(heard, m.Superseded)]
    assert not place.log_file(stray).exists()
    found = await place.job(job)
    assert (found.state, found.end_reason) == (JobState.FAILED, EndReason.LOST)
    (named,) = [entry for entry in said.entries if "left to run" in entry["event"]]
    assert set(named["attempts"].split(", ")) == {str(key) for key in (stray, over, fresh, known)}


async def test_what_an_agent_comes_back_without_has_no_other_attempt(place: LiveHub) -> None:
    async with place.agent() as agent:
        await agent.hello()
        await place.submit(max_attempts=5)
        key = await agent.start()
        await place.reaches(key, AttemptState.RUNNING)
    await place.store.begin_life(1, time.time())
    async with place.agent() as agent:
        await agent.hello()
        # The session knows before the database does, when that is on another thread.
        await until(lambda: place.slot().leases == {})
        await place.reaches(key, AttemptState.LOST)
        assert (await place.job(key)).state is JobState.FAILED
