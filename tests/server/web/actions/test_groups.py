"""What users do with groups, beyond one call of the store; the API's tests go through it, too."""

from __future__ import annotations

from tests.support.live_server import Live


async def test_agents_that_take_no_jobs_are_left_out_on_demand(live: Live) -> None:
    token = await live.register("here", capacity={"default": 1})
    await live.register("away", capacity={"default": 1})
    async with live.connect(token):
        wanted = {"spec": {"command": ["true"]}, "select": {"online_only": True}}
        found = (await live.post("/groups/explain", wanted)).body
        assert (found["agents"], found["unavailable"]) == (["here"], 0)
        made = (await live.post("/groups", wanted)).body
        assert [one["agent"] for one in made["members"]] == ["here"]


async def test_a_cancel_says_by_whom(live: Live) -> None:
    await live.register("a")
    group = (await live.post("/groups", {"spec": {"command": ["true"]}})).body["id"]
    ended = (await live.post(f"/groups/{group}/cancel")).body
    assert ended["cancel_detail"] == "cancelled by first-admin"
