"""The pages of queues."""

from __future__ import annotations

import pytest

from remote_server.web.pages import queues
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_queues_are_listed_with_their_health(live: Live) -> None:
    await live.register("a1")
    await live.post("/queues", {"name": "gpu", "description": "A40"})
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/queues")
        assert "<title>Queues" in page.text
        assert 'data-queue="default" data-state="unhealthy"' in page.text
        assert "no agent online" in page.words and "no agent serves it" in page.words
        async with live.connect(await live.register("a2")):
            page = await browser.get("/queues")
            assert 'data-queue="default" data-state="healthy"' in page.text


async def test_a_queue_is_made_changed_paused_and_deleted(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/queues", name="gpu", description="A40", log_retention="30d")
        assert seen.location == "./queues/gpu?done=created"
        made = (await live.get("/queues/gpu")).body
        assert (made["description"], made["log_retention"]) == ("A40", 30 * 86400.0)
        assert (
            'name="log_retention" type="text" value="30d"'
            in (await browser.get("/queues/gpu")).text
        )
        seen = await browser.send("/queues/gpu/change", description="H100", log_max_total="1GiB")
        assert seen.location == "../../queues/gpu?done=changed"
        made = (await live.get("/queues/gpu")).body
        assert (made["description"], made["log_retention"]) == ("H100", None)
        assert made["log_max_total"] == 1 << 30
        await browser.send("/queues/gpu/pause")
        assert "Resume" in (await browser.get("/queues/gpu")).words
        assert (await live.get("/queues/gpu")).body["paused"]
        await browser.send("/queues/gpu/resume")
        assert not (await live.get("/queues/gpu")).body["paused"]
        assert (await browser.send("/queues/gpu/delete")).location == "../../queues?done=deleted"
        assert (await browser.get("/queues/gpu")).status == 404


async def test_a_faulty_form_comes_back_with_what_was_typed(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/queues", name="lyon plant", log_retention="soon")
        assert seen.status == 422
        assert 'value="lyon plant"' in seen.text and 'value="soon"' in seen.text
        assert seen.text.count('aria-invalid="true"') == 2
        assert (await browser.send("/queues", name="default")).status == 409


async def test_roles_hold_for_actions_that_are_not_drawn(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        assert (await browser.send("/queues/default/pause")).status == 403
        assert (await browser.send("/queues", name="x")).status == 403
    async with visitor(live, "operator") as browser:
        seen = await browser.send("/queues/default/change", log_retention="1s")
        assert seen.status == 403 and "1h at least" in seen.words


async def test_an_admin_makes_another_one_the_default(live: Live) -> None:
    await live.post("/queues", {"name": "gpu"})
    async with visitor(live) as browser:
        assert "Make it the default" in (await browser.get("/queues/gpu")).words
        assert "Make it the default" not in (await browser.get("/queues/default")).words
        seen = await browser.send("/queues/gpu/default")
        assert seen.location == "../../queues/gpu?done=defaulted"
        page = await browser.get("/queues/gpu?done=defaulted")
        assert "default queue" in page.words and "Delete…" not in page.words
        assert "Jobs that name no queue go here from now on" in page.words
        assert (await browser.get("/queues")).text.count("default queue</span>") == 1
        assert 'value="gpu"' in (await browser.get("/submit")).text
        sent = await browser.send("/submit", run="true", how="shell", shell="sh", queue="")
        job = (sent.location or "").partition("jobs/")[2].partition("?")[0]
        assert (await live.get(f"/jobs/{job}")).body["queue"] == "gpu"
        words = (await browser.get(f"/jobs/{job}")).words
        assert "run --detach" in words and "run --detach --queue" not in words
    async with visitor(live, "operator") as browser:
        assert "Make it the default" not in (await browser.get("/queues/default")).words
        assert (await browser.send("/queues/default/default")).status == 403


async def test_a_queue_shows_what_waits_in_it(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"], "name": "waits"})).body["id"]
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/queues/default")
        assert f'data-job="{job}" data-state="queued"' in page.text and "waits" in page.words


async def test_a_queue_shows_agents_as_the_list_of_agents_does(live: Live) -> None:
    await live.register("off")
    token = await live.register("on")
    await live.post("/agents/on/pause")
    async with live.connect(token), visitor(live, "viewer") as browser:
        for path in ("/queues/default", "/agents"):
            page = await browser.get(path)
            assert 'data-agent="off" data-state="offline"' in page.text
            assert 'data-agent="on" data-state="paused"' in page.text


async def test_of_a_large_queue_some_agents_are_shown(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_AGENTS_SHOWN", 2)
    for name in ("a1", "a2", "a3"):
        await live.register(name)
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/queues/default")
        assert page.text.count("data-agent=") == 2 and "Agents that serve it 3" in page.words
        assert 'href="../agents?queue=default"' in page.text
