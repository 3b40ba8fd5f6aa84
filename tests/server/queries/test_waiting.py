"""Why jobs wait, and what is the matter with those that run, in words."""

from __future__ import annotations

import time

from remote_protocol.messages import Hello
from remote_protocol.states import JobState
from remote_server.domain.links import Fetching
from remote_server.queries.waiting import attention, fetching_reasons, waiting_reasons
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.stored import NOW, offered, running, submitted

NOON = 1_800_014_400.0


async def test_only_jobs_that_wait_have_a_reason(store: Store) -> None:
    waits, runs = await submitted(store), await running(store)
    jobs = [await store.job(waits), await store.job(runs.job)]
    assert await waiting_reasons(store, FakeLinks(), jobs) == {
        waits: "no agent serves queue 'default'"
    }
    assert await waiting_reasons(store, FakeLinks(), jobs[1:]) == {}
    hello = Hello(oldest=1, newest=1, installation="i", session="0" * 26, agent_version="1")
    await store.bump_epoch("a", hello, "", NOW)
    named = await store.job(await submitted(store, agent="a"))
    assert await waiting_reasons(store, FakeLinks(), [named]) == {named.id: "agent 'a' is offline"}


async def test_a_job_of_an_agent_that_is_away_says_so(store: Store) -> None:
    key = await running(store, on_disconnect={"lost_after": "10m"})
    job = await store.job(key.job)
    assert job.state is JobState.RUNNING
    assert attention(job, None, NOON) is None
    said = attention(job, 120.0, NOON) or ""
    form = "%Y-%m-%d %H:%M:%S UTC"
    since, lost = (time.strftime(form, time.gmtime(NOON + s)) for s in (-120, 480))
    assert said == (
        f"its agent 'a' is offline since {since} (2m); the job counts as lost at {lost}"
    )
    assert (attention(job, 700.0, NOON) or "").endswith("counts as lost now")
    waits = await store.job(await submitted(store))
    assert attention(waits, 120.0, NOON) is None


async def test_ended_jobs_have_none(store: Store) -> None:
    key = await running(store)
    await store.request_cancel(key.job, "", NOW)
    await store.lose(key, "gone", NOW)
    assert attention(await store.job(key.job), 120.0, NOON) is None


async def test_a_job_whose_files_are_on_their_way_says_how_far(store: Store) -> None:
    lease = await offered(store)
    links = FakeLinks()
    job = await store.job(lease.key.job)
    assert job.state is JobState.ASSIGNED and fetching_reasons(links, [job]) == {}
    links.fetches[lease.key] = Fetching(310 << 20, 1 << 30)
    way = "its files are on their way to the agent 'a': 30 % of 1.0 GiB are there"
    assert fetching_reasons(links, [job]) == {job.id: way}
    links.fetches[lease.key] = Fetching(1 << 30, 1 << 30)
    assert fetching_reasons(links, [job]) == {job.id: "the agent 'a' puts its files into place"}
    runs = await store.job((await running(store)).job)
    assert fetching_reasons(links, [runs]) == {}
