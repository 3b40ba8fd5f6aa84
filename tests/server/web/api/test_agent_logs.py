"""`GET /agents/{name}/log`."""

from __future__ import annotations

from remote_protocol.messages import OwnLog
from tests.support.live_server import Live


async def test_what_an_agent_sends_is_served_and_acknowledged(live: Live) -> None:
    token = await live.register()
    (await live.get("/agents/nobody/log")).problem(404, "not_found")
    assert (await live.get("/agents/a/log")).text == ""
    async with live.connect(token) as link:
        assert link.welcome.own_log == ""
        await link.send(OwnLog(cursor="c1", lines=["one", "two \x1b[2J"]))
        assert (await link.until("own_log_ack")).cursor == "c1"
        await link.send(OwnLog(cursor="c2", lines=["three"]))
        assert (await link.until("own_log_ack")).cursor == "c2"
    answer = await live.get("/agents/a/log")
    assert answer.text == "one\ntwo \\x1b[2J\nthree\n"
    assert answer.headers["Content-Type"].startswith("text/plain")
    size = len(answer.text)
    assert answer.headers["Remote-Log-Offset"] == "0"
    assert answer.headers["Remote-Log-Size"] == str(size)
    last = await live.get("/agents/a/log?tail=1")
    assert (last.text, last.headers["Remote-Log-Offset"]) == ("three\n", str(size - 6))
    assert (await live.get(f"/agents/a/log?offset={size - 6}")).text == "three\n"
    assert (await live.get("/agents/a/log?offset=99999")).text == ""
    (await live.get("/agents/a/log?offset=1&tail=1")).problem(422, "validation")
    async with live.connect(token) as link:
        assert link.welcome.own_log == "c2", "it goes on there"


async def test_it_is_followed_live(live: Live) -> None:
    token = await live.register()
    log = live.open("GET", "/agents/a/log?follow=true")
    async with live.connect(token) as link, log as answer:
        assert answer.status == 200
        for number in range(3):
            await link.send(OwnLog(cursor=str(number), lines=[f"line {number}"]))
            assert await answer.content.readline() == b"line %d\n" % number


async def test_it_goes_with_its_agent(live: Live) -> None:
    token = await live.register()
    async with live.connect(token) as link:
        await link.send(OwnLog(cursor="c", lines=["one"]))
        await link.until("own_log_ack")
    assert (await live.ask("DELETE", "/agents/a")).status == 204
    await live.register()
    assert (await live.get("/agents/a/log")).text == ""
