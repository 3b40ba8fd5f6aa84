"""Jobs as shown."""

from __future__ import annotations

from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.queries.jobs import job_views, whole_job
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.stored import running, submitted


async def test_a_list_says_why_jobs_wait_and_hides_values(sources: Sources, store: Store) -> None:
    waits = await submitted(store, env={"TOKEN": "secret"})
    runs = await running(store)
    jobs = [await store.job(waits), await store.job(runs.job)]
    first, second = await job_views(sources, jobs, values_shown=False)
    assert first.pending_reason == "no agent serves queue 'default'"
    assert first.env == {"TOKEN": "(hidden)"}
    assert (second.pending_reason, second.agent) == (None, "a")


async def test_a_job_has_its_attempts_and_says_that_its_agent_is_away(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    runs = await store.job((await running(store)).job)
    links.statuses["a"] = AgentStatus(AgentState.OFFLINE, silence=120.0)
    view = await whole_job(sources, runs)
    assert [attempt.number for attempt in view.attempts] == [1]
    assert (view.attention or "").startswith("its agent 'a' is offline since")
    links.statuses["a"] = AgentStatus(AgentState.ONLINE)
    assert (await whole_job(sources, runs)).attention is None


async def test_an_input_shows_how_far_it_has_come(sources: Sources, store: Store) -> None:
    job = await store.job(await submitted(store, stdin=True))
    before = (await whole_job(sources, job)).input
    await sources.inputs.append(job.id, 0, b"1234")
    after = (await whole_job(sources, job)).input
    assert before is not None
    assert after is not None
    assert (before.size, after.size, after.state, after.ttl) == (0, 4, "open", 60.0)
