"""The pages of jobs."""

from __future__ import annotations

import pytest

from remote_server.web.pages import jobs
from tests.support.live_server import Live
from tests.support.stored import finish, running
from tests.support.visitor import visitor


async def submitted(live: Live, **fields: object) -> str:
    answer = await live.post("/jobs", {"command": ["true"], **fields})
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


async def test_no_job_yet_teaches_the_first_one(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/jobs")
        assert "<title>Jobs" in page.text and "No job yet" in page.words
        assert "remotectl run -- uname -a" in page.words and "Submit a job" not in page.words
    async with visitor(live, "operator") as browser:
        assert 'href="./submit"' in (await browser.get("/jobs")).text


async def test_jobs_are_listed_and_filtered(live: Live) -> None:
    await live.post("/queues", {"name": "gpu"})
    plain = await submitted(live, name="<plain>")
    big = await submitted(live, name="big", queue="gpu", labels={"gpu": "h100"})
    await live.post(f"/jobs/{plain}/cancel")
    async with visitor(live, "viewer") as browser:

        async def found(query: str) -> list[str]:
            page = await browser.get(f"/jobs?{query}")
            assert page.status == 200
            return [job for job in (plain, big) if f'data-job="{job}"' in page.text]

        page = await browser.get("/jobs")
        assert f'id="job-{big}" data-job="{big}" data-state="queued"' in page.text
        assert "&lt;plain&gt;" in page.text and "no agent serves queue 'gpu'" in page.words
        assert "All 2" in page.words and "Cancelled 1" in page.words
        assert await found("state=queued") == [big]
        assert await found("state=queued,cancelled") == [plain, big]
        seen = await browser.get("/jobs?state=queued&queue=&label=&cursor=&name=a%20b")
        assert seen.location == "./jobs?state=queued&name=a+b"
        assert await found("queue=gpu") == [big]
        assert await found("label=gpu=h100") == [big]
        assert await found("name=PLAI") == [plain]
        assert await found(f"name={big}") == [big]
        assert await found("end_reason=cancelled") == [plain]
        assert await found("since=1h&submitted_by=first-admin") == [plain, big]
        page = await browser.get("/jobs?queue=gpu&state=failed")
        assert "No job matches" in page.words and "queue gpu" in page.words
        assert 'href="./jobs?state=failed" aria-label="Without queue gpu"' in page.text
        page = await browser.get("/jobs?since=never&queue=gpu")
        assert page.status == 422 and "This filter cannot be used" in page.words
        assert 'value="never"' in page.text


async def test_a_search_that_takes_long_is_not_repeated_by_itself(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with visitor(live, "viewer") as browser:
        assert 'data-live="on"' in (await browser.get("/jobs")).text
        monkeypatch.setattr(jobs, "_QUICK", -1.0)
        page = await browser.get("/jobs?name=x")
        assert "data-live" not in page.text and "A long search" in page.words


async def test_pages_lead_to_older_jobs(live: Live) -> None:
    made = [await submitted(live, name=f"n{number}") for number in range(5)]
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/jobs?limit=2&name=n")
        assert made[4] in page.text and made[2] not in page.text
        assert f'href="./jobs?limit=2&amp;name=n&amp;cursor={made[3]}">Older' in page.text
        page = await browser.get(f"/jobs?limit=2&name=n&cursor={made[3]}")
        assert made[2] in page.text and made[4] not in page.text
        assert 'href="./jobs?limit=2&amp;name=n">Newest' in page.text
        last = await browser.get(f"/jobs?limit=2&name=n&cursor={made[1]}")
        assert made[0] in last.text and ">Older" not in last.text


async def test_a_job_that_waits_shows_every_agent_and_what_it_misses(live: Live) -> None:
    await live.post("/queues", {"name": "gpu"})
    job = await submitted(live, queue="gpu", labels={"gpu": "h100"}, name="train")
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{job}")
        assert "<title>train" in page.text and f'data-job="{job}" data-state="queued"' in page.text
        assert "remotectl agent set NAME --queue default --queue gpu" in page.words
        async with live.connect(await live.register("osl", labels={"gpu": "h100"})):
            page = await browser.get(f"/jobs/{job}")
            assert 'data-agent="osl"' in page.text and 'data-fit="no"' in page.text
            assert "no: default" in page.words and "Let osl serve gpu." in page.words
        assert "Cancel the job" not in page.words and "Submit again" not in page.words


async def test_a_job_shows_its_facts_as_the_role_allows(live: Live) -> None:
    job = await submitted(
        live, env={"TOKEN": "hidden-value"}, timeout="90s", max_attempts=3, name="facts"
    )
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{job}")
        assert "TOKEN" in page.words and "hidden-value" not in page.text
        assert "at most 3; again after lost" in page.words and "1 min 30 s" in page.words
        assert f"remotectl job show {job}" in page.words
    async with visitor(live, "operator") as browser:
        assert "hidden-value" in (await browser.get(f"/jobs/{job}")).text
        assert (await browser.get("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV")).status == 404


async def test_a_job_shows_what_it_gave_back(live: Live) -> None:
    key = await running(live.services.store)
    given = {"version": "1.2", "html": "<script>alert(1)</script>", "long": "y" * 600}
    await finish(live.services.store, key, outputs=given, outputs_warning="line 7 is odd")
    plain = await running(live.services.store)
    await finish(live.services.store, plain)
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{key.job}")
        assert 'data-output="version"' in page.text and "line 7 is odd" in page.words
        assert "<script>alert" not in page.text and "<script>alert(1)</script>" in page.words
        assert "y" * 500 + "…" in page.words and "y" * 501 not in page.text
        assert 'id="outputs"' not in (await browser.get(f"/jobs/{plain.job}")).text


async def test_a_job_is_cancelled_with_a_reason_and_retried(live: Live) -> None:
    job = await submitted(live, name="load")
    async with visitor(live, "operator") as browser:
        seen = await browser.send(f"/jobs/{job}/retry")
        assert seen.status == 409 and "has not ended" in seen.words
        seen = await browser.send(f"/jobs/{job}/cancel", reason="wrong <input>")
        assert seen.location == f"../../jobs/{job}?done=cancelled"
        page = await browser.get(f"/jobs/{job}")
        assert "wrong &lt;input&gt;" in page.text and 'data-live="ended"' in page.text
        assert "Never started" in page.words and "Retry" in page.words
        seen = await browser.send(f"/jobs/{job}/retry")
        again = seen.location.removeprefix("../../jobs/").partition("?")[0]
        assert again != job and (await live.get(f"/jobs/{again}")).body["name"] == "load"


async def test_roles_hold_for_actions_that_are_not_drawn(live: Live) -> None:
    job = await submitted(live)
    async with visitor(live, "viewer") as browser:
        assert (await browser.send(f"/jobs/{job}/cancel")).status == 403
        assert (await browser.send(f"/jobs/{job}/retry")).status == 403
    async with visitor(live, "operator") as browser:
        assert (await browser.send(f"/jobs/{job}/cancel", csrf="0" * 64)).status == 403
    assert (await live.get(f"/jobs/{job}")).body["state"] == "queued"


async def test_a_long_timeline_is_cut(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_MOST_EVENTS", 1)
    job = await submitted(live)
    await live.post(f"/jobs/{job}/cancel")
    async with visitor(live, "viewer") as browser:
        assert "The first 1 entry" in (await browser.get(f"/jobs/{job}")).words
