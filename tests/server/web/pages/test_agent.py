"""The page of one agent."""

from __future__ import annotations

import re

from remote_protocol.messages import Accept, Heartbeat, HostLoad
from remote_server.web import digest
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_it_shows_what_the_agent_is_and_does(live: Live) -> None:
    token = await live.register("ber-1", labels={"site": "berlin"})
    async with live.connect(token) as link, visitor(live, "viewer") as browser:
        job = (await live.post("/jobs", {"command": ["true"], "name": "rates"})).body["id"]
        offer = await link.until("offer")
        await link.send(Accept(attempt=offer.attempt, serial=offer.serial))
        await link.until("confirm")
        page = await browser.get("/agents/ber-1")
        assert "<title>ber-1" in page.text
        assert 'data-agent="ber-1" data-state="online"' in page.text
        assert f'data-job="{job}"' in page.text and "rates" in page.words
        assert "site=berlin" in page.words and "1 of 4 busy" in page.words
        assert "It runs version test" in page.words
        assert 'action="../agents/ber-1/' not in page.text, "a viewer can do nothing"
        assert (await browser.get("/agents/nobody")).status == 404


async def test_past_jobs_are_found_by_their_agent(live: Live) -> None:
    await live.register("a")
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/agents/a")
        assert "It is offline" in page.words
        assert "remotectl run --agent a --queue default -- uname -a" in page.words


async def test_an_operator_pauses_drains_and_resumes_it(live: Live) -> None:
    await live.register("a")
    async with visitor(live, "operator") as browser:
        seen = await browser.send("/agents/a/pause", comment="back by four")
        assert seen.location == "../../agents/a?done=paused"
        page = await browser.get("/agents/a?done=paused")
        assert "It is paused. back by four" in page.words and "Resume" in page.words
        await browser.send("/agents/a/drain", deadline="1h")
        page = await browser.get("/agents/a")
        assert "What still runs at" in page.words
        await browser.send("/agents/a/resume")
        page = await browser.get("/agents/a")
        assert "It is paused" not in page.words and "It drains" not in page.words
        assert (await browser.send("/agents/a/drain", deadline="soon")).status == 422
        for action in ("change", "rotate-token", "delete"):
            assert f"agents/a/{action}" not in page.text
            assert (await browser.send(f"/agents/a/{action}")).status == 403
        assert (await browser.send("/agents/nobody/pause")).status == 404


async def test_it_shows_the_end_of_its_own_log(live: Live) -> None:
    await live.register("a")
    logs = live.services.agent_logs
    async with visitor(live, "viewer") as browser:
        assert "Nothing of it is here" in (await browser.get("/agents/a")).words
        logs.append("a", [f"line {number} <b>" for number in range(300)], "c")
        page = await browser.get("/agents/a")
        assert "line 299 &lt;b&gt;" in page.text and "line 99 &lt;" not in page.text
        assert "remotectl agent logs -f a" in page.words
        whole = await browser.get("/agents/a/log")
        assert whole.text.count("\n") == 300 and whole.text.startswith("line 0 <b>")
        assert (await browser.get("/agents/nobody/log")).status == 404


async def test_it_shows_the_last_hour_of_its_host(live: Live) -> None:
    token = await live.register("a")
    load = HostLoad(cpu=42.0, memory_free=1 << 30, memory_total=4 << 30, load=1.5)
    async with visitor(live, "viewer") as browser, live.connect(token) as link:
        assert "Load of the host" not in (await browser.get("/agents/a")).words
        await link.send(Heartbeat(seq=1, load=load))
        await link.until("heartbeat_ack")
        page = await browser.get("/agents/a")
        assert "CPU over the last hour, now 42 percent" in page.text
        assert "Memory over the last hour, now 75 percent" in page.text
        assert "Disk over" not in page.text, "it does not say"
        assert "free of 4.0" in page.words and "1.5 over a minute" in page.words
    assert (await live.get("/agents/a")).body["load"]["cpu"] == 42.0


async def test_an_operator_restarts_it(live: Live) -> None:
    token = await live.register("a")
    async with visitor(live, "operator") as browser:
        page = await browser.get("/agents/a")
        assert "agents/a/restart" not in page.text, "there is no process yet"
        async with live.connect(token, process="p1"):
            page = await browser.get("/agents/a")
            assert 'data-opens="restart"' in page.text and "Restart a?" in page.words
            seen = await browser.send("/agents/a/restart")
            assert seen.location == "../../agents/a?done=restarting"
            page = await browser.get("/agents/a?done=restarting")
            assert "The restart was asked for" in page.words and "It is to restart" in page.words
    async with visitor(live, "viewer") as browser:
        assert (await browser.send("/agents/a/restart")).status == 403


async def test_an_admin_edits_queues_labels_and_capacity(live: Live) -> None:
    await live.register("a", labels={"old": "1"})
    await live.post("/queues", {"name": "gpu"})
    async with visitor(live) as browser:
        seen = await browser.send(
            "/agents/a/change",
            queues="gpu, default",
            labels="site=berlin, gpu=a40",
            capacity="default=2,monitors=10",
        )
        assert seen.location == "../../agents/a?done=changed"
        view = (await live.get("/agents/a")).body
        assert view["queues"] == ["gpu", "default"]
        assert view["labels"] == {"site": "berlin", "gpu": "a40"}
        assert view["capacity"] == {"default": 2, "monitors": 10}
        assert 'value="default=2,monitors=10"' in (await browser.get("/agents/a")).text
        await browser.send("/agents/a/change", queues="gpu", labels="", capacity="1")
        assert (await live.get("/agents/a")).body["labels"] == {}


async def test_a_faulty_edit_comes_back_with_what_was_typed(live: Live) -> None:
    await live.register("a")
    async with visitor(live) as browser:
        seen = await browser.send("/agents/a/change", queues="", labels="site", capacity="much")
        assert seen.status == 422 and "data-open" in seen.text
        assert seen.text.count('aria-invalid="true"') == 3
        assert 'value="site"' in seen.text and 'value="much"' in seen.text
        seen = await browser.send("/agents/a/change", queues="nowhere", capacity="1")
        assert seen.status == 422 and "nowhere" in seen.words
        assert seen.text.count('aria-invalid="true"') == 1
        assert (await live.get("/agents/a")).body["queues"] == ["default"]


async def test_a_new_token_is_shown_once(live: Live) -> None:
    old = await live.register("a")
    async with visitor(live) as browser:
        seen = await browser.send("/agents/a/rotate-token")
        assert seen.status == 200 and "Location" not in seen.headers
        assert "no-store" in seen.headers["Cache-Control"]
        found = re.search(r"data-secret>(rat_[^<]+)<", seen.text)
        assert found is not None
        assert found[1] not in (await browser.get("/agents/a")).text
    store = live.services.store
    former, new = (
        await store.token_by_hash(digest(old)),
        await store.token_by_hash(digest(found[1])),
    )
    assert former is not None and former.revoked
    assert new is not None and not new.revoked and new.agent == "a"


async def test_an_admin_deletes_it(live: Live) -> None:
    await live.register("a")
    async with visitor(live) as browser:
        assert (await browser.send("/agents/a/delete")).location == "../../agents?done=deleted"
        assert (await browser.get("/agents/a")).status == 404
