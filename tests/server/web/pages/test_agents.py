"""The list of agents."""

from __future__ import annotations

import re

from remote_server.web.pages.agents import SHOWN
from tests.support.live_server import Live
from tests.support.visitor import visitor


def shown(page: str) -> list[str]:
    return re.findall(r'<tr [^>]*data-agent="([^"]*)"', page)


async def test_without_agents_it_teaches_to_enrol_one(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/agents")
        assert "No agent has enrolled yet" in page.words
        assert "remotectl registration-token create --uses 1" in page.words
        assert f"remote-agent register --server {live.url} --token-file token" in page.words
        assert "tokens?kind=registration" not in page.text
    async with visitor(live, "admin") as browser:
        page = await browser.get("/agents")
        assert 'href="./tokens?kind=registration&amp;new=yes"' in page.text


async def test_agents_are_listed_with_what_they_are(live: Live) -> None:
    await live.register("off")
    token = await live.register("on", labels={"site": "berlin"}, capacity={"default": 3})
    await live.post("/agents/on/pause", {"comment": "<b>update</b>"})
    async with live.connect(token), visitor(live, "viewer") as browser:
        page = await browser.get("/agents")
        assert "<title>Agents" in page.text
        assert 'data-agent="off" data-state="offline"' in page.text
        assert 'data-agent="on" data-state="paused"' in page.text
        assert "&lt;b&gt;update&lt;/b&gt;" in page.text and "<b>update" not in page.text
        assert "site=berlin" in page.words and "0 / 3" in page.words
        assert "Takes no jobs 1" in page.words and "Online 1" in page.words
        assert 'type="checkbox"' not in page.text, "a viewer can act on none"


async def test_a_filter_leaves_the_agents_that_are_meant(live: Live) -> None:
    await live.register("ber-1", labels={"site": "berlin"})
    await live.register("ber-2")
    await live.register("lyon-1")
    async with visitor(live, "viewer") as browser:
        for query, names in (
            ("?q=BER&queue=&label=&version=", ["ber-1", "ber-2"]),
            ("?label=site%3Dberlin", ["ber-1"]),
            ("?state=offline&q=lyon", ["lyon-1"]),
            ("?state=online", []),
            ("?queue=gpu", []),
        ):
            page = await browser.get(f"/agents{query}")
            assert shown(page.text) == names
        assert "No agent matches" in page.words
        assert 'value="gpu"' in page.text
        assert (await browser.get("/agents?state=gone")).status == 422


async def test_a_large_list_comes_in_pages(live: Live) -> None:
    for number in range(SHOWN + 2):
        await live.register(f"a{number:02}")
    async with visitor(live, "operator") as browser:
        first = await browser.get("/agents?q=a")
        assert shown(first.text) == [f"a{number:02}" for number in range(SHOWN)]
        assert f"{SHOWN} of {SHOWN + 2} agents that match" in first.words
        following = re.search(r'rel="next" href="\.([^"]*)"', first.text)
        assert following is not None
        second = await browser.get(following[1].replace("&amp;", "&"))
        assert shown(second.text) == ["a50", "a51"]
        assert 'rel="next"' not in second.text and "First page" in second.words
        assert (await browser.get("/agents?cursor=%C3%A4")).status == 422


async def test_several_agents_are_paused_drained_and_resumed_at_once(live: Live) -> None:
    for name in ("a", "b", "c"):
        await live.register(name)
    async with visitor(live, "operator") as browser:
        seen = await browser.send(
            "/agents?state=offline&q=", act="pause", agent="a,b", comment="back by four"
        )
        assert seen.location == "./agents?state=offline&done=paused"
        assert "Paused" in (await browser.get("/agents?done=paused")).words
        paused = [(await live.get(f"/agents/{name}")).body["paused"] for name in "abc"]
        assert paused == [True, True, False]
        await browser.send("/agents", act="drain", agent="c", deadline="1h")
        row = await live.services.store.agent("c")
        assert row.draining and row.drain_deadline_at
        await browser.send("/agents", act="resume", agent="a,b,c")
        assert not (await live.services.store.agent("c")).draining
        assert (await browser.send("/agents", act="pause")).location == "./agents"
        assert (await browser.send("/agents", act="delete", agent="a")).status == 422
        assert (await browser.send("/agents", act="drain", agent="a", deadline="x")).status == 422
        assert (await browser.send("/agents", csrf="0" * 64, act="drain", agent="a")).status == 403
    async with visitor(live, "viewer") as browser:
        assert (await browser.send("/agents", act="pause", agent="a")).status == 403
