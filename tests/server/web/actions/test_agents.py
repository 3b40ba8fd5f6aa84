"""What operators do with agents, whichever way they come."""

from __future__ import annotations

from remote_server.web import digest
from tests.support.live_server import Live
from tests.support.visitor import visitor


async def test_agents_that_are_gone_meanwhile_do_not_stop_the_others(live: Live) -> None:
    await live.register("a")
    await live.register("b")
    async with visitor(live, "operator") as browser:
        seen = await browser.send("/agents", act="pause", agent="a,gone,b,a", comment="update")
        assert seen.location == "./agents?done=paused"
    for name in ("a", "b"):
        view = (await live.get(f"/agents/{name}")).body
        assert (view["paused"], view["pause_comment"]) == (True, "update")


async def test_resuming_takes_pause_and_drain_back(live: Live) -> None:
    await live.register("a")
    await live.post("/agents/a/pause", {"comment": "x"})
    await live.post("/agents/a/drain")
    view = (await live.post("/agents/a/resume")).body
    assert (view["paused"], view["pause_comment"], view["draining"]) == (False, "", False)


async def test_a_new_token_ends_the_former_one(live: Live) -> None:
    old = await live.register("a")
    new = (await live.post("/agents/a/rotate-token")).body["token"]
    async with live.connect(new):
        assert (await live.get("/agents/a")).body["state"] == "online"
    assert await live.services.store.token_by_hash(digest(new))
    former = await live.services.store.token_by_hash(digest(old))
    assert former is not None and former.revoked
