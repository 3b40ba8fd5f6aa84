"""The agents that a waiting job may get: connected or not, in its queue or near."""

from __future__ import annotations

from remote_protocol.messages import Hello
from remote_server.domain.candidates import Kind
from remote_server.domain.links import AgentStatus
from remote_server.queries import candidates
from remote_server.queries.candidates import placement
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.stored import NOW, running, submitted


async def registered(store: Store, *names: str) -> None:
    """Agents of the queue `default`."""
    for name in names:
        hello = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")
        await store.bump_epoch(name, hello, "", NOW)


async def test_only_jobs_that_wait_have_candidates(sources: Sources, store: Store) -> None:
    assert await placement(sources, await store.job((await running(store)).job)) is None


async def test_agents_that_are_away_and_agents_of_other_queues_are_judged_too(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await registered(store, "away", "full", "labels")
    links.connect("full", labels={"gpu": "h100"}, capacity=0)
    links.connect("labels")
    links.connect("near", queues=("other",), labels={"gpu": "h100"})
    links.connect("far", queues=("other",))
    links.statuses["full"] = AgentStatus(seen_at=NOW)
    job = await store.job(await submitted(store, labels={"gpu": "h100"}))
    found = await placement(sources, job)
    assert found is not None
    assert [one.agent for one in found.candidates] == ["full", "near", "labels", "away"]
    assert (found.serving, found.judged, found.fitting, found.others) == (3, 3, 0, 1)
    assert found.heard["full"] == NOW
    assert found.facts["near"].queues == {"other"}
    assert found.misses(found.candidates[1], Kind.QUEUE)


async def test_a_job_for_one_agent_is_about_that_agent(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    await registered(store, "a", "b")
    links.connect("b")
    links.connect("c", queues=("other",))
    job = await store.job(await submitted(store, agent="a"))
    found = await placement(sources, job)
    assert found is not None
    assert found.requirements[0] == (Kind.AGENT, "a")
    assert [(one.agent, one.misses) for one in found.candidates] == [("a", 1), ("b", 1)]
    assert found.others == 0


async def test_of_a_large_fleet_only_a_part_is_judged(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    names = [f"a{number:03}" for number in range(40)]
    await registered(store, *names)
    for name in names[:20]:
        links.connect(name, capacity=0)
    job = await store.job(await submitted(store))
    found = await placement(sources, job)
    assert found is not None
    assert found.serving == 40
    assert found.judged == 20 + candidates.SHOWN
    assert len(found.candidates) == candidates.SHOWN
