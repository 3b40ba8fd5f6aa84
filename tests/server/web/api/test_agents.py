"""Agents as operators see and steer them, with a real link."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from remote_protocol.api.agents import AgentView
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Accept
from tests.support.live_server import Live


async def state_of(live: Live, name: str, wanted: str) -> AgentView:
    """The agent once it is in this state."""
    async with asyncio.timeout(20):
        while True:
            view = AgentView.model_validate((await live.get(f"/agents/{name}")).body)
            if view.state == wanted:
                return view
            await asyncio.sleep(0.01)


async def test_an_agent_is_shown_with_what_it_does(live: Live) -> None:
    token = await live.register(queues=["default"], labels={"os": "x"}, capacity={"default": 2})
    offline = AgentView.model_validate((await live.get("/agents/a")).body)
    assert (offline.state, offline.running, offline.connected_at) == ("offline", 0, None)
    async with live.connect(token) as link:
        online = await state_of(live, "a", "online")
        assert (online.queues, online.labels) == (["default"], {"os": "x"})
        assert online.capacity == {"default": 2}
        assert online.address == "127.0.0.1"
        assert online.last_seen_at
        assert abs((online.last_seen_at - datetime.now(UTC)).total_seconds()) < 20
        assert "it runs version test" in online.warning
        job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
        offer = await link.until("offer")
        await link.send(Accept(attempt=offer.attempt, serial=offer.serial))
        await link.until("confirm")
        busy = await state_of(live, "a", "online")
        assert (busy.running, busy.jobs) == (1, [job])
        queue = (await live.get("/queues/default")).body
        assert (queue["healthy"], queue["agents"], queue["agents_online"]) == (True, ["a"], 1)
        assert (queue["queued"], queue["running"]) == (0, 1)
    gone = await state_of(live, "a", "offline")
    assert (gone.running, gone.jobs) == (1, [job])


async def test_lists_are_paged(live: Live) -> None:
    for name in ("c", "a", "b"):
        await live.register(name)
    first = (await live.get("/agents?limit=2")).body
    assert [agent["name"] for agent in first["items"]] == ["a", "b"]
    second = (await live.get(f"/agents?limit=2&cursor={first['next_cursor']}")).body
    assert [agent["name"] for agent in second["items"]] == ["c"]
    assert second["next_cursor"] is None
    (await live.get("/agents?cursor=!!")).problem(422, "validation")


async def test_a_change_reaches_the_agent(live: Live) -> None:
    token = await live.register()
    await live.post("/queues", {"name": "berlin"})
    async with live.connect(token) as link:
        change = {"queues": ["berlin"], "labels": {"gpu": "yes"}, "capacity": {"default": 8}}
        answer = await live.ask("PATCH", "/agents/a", change)
        assert answer.status == 200
        assert {key: answer.body[key] for key in change} == change
        told = (await link.until("configure")).assignment
        assert (told.queues, told.labels, told.capacity) == (
            ["berlin"],
            {"gpu": "yes"},
            {"default": 8},
        )
    unknown = await live.ask("PATCH", "/agents/a", {"queues": ["nowhere"]})
    assert "berlin, default" in unknown.problem(422, "unknown_queue")["detail"]
    (await live.ask("PATCH", "/agents/a", {"queues": []})).problem(422, "validation")
    (await live.ask("PATCH", "/agents/nobody", {})).problem(404, "not_found")


async def test_wishes_reach_the_agent_and_are_kept(live: Live) -> None:
    token = await live.register()
    async with live.connect(token) as link:
        paused = await live.post("/agents/a/pause", {"comment": "new disk"})
        assert (paused.body["paused"], paused.body["pause_comment"]) == (True, "new disk")
        told = (await link.until("mode")).desired
        assert (told.paused, told.comment) == (True, "new disk")
        drained = await live.post("/agents/a/drain", {"deadline": "1h"})
        assert drained.body["draining"]
        told = (await link.until("mode")).desired
        assert told.draining
        assert 3590 < told.drain_deadline <= 3600
    assert (await live.get("/agents/a")).body["paused"]
    resumed = await live.post("/agents/a/resume")
    assert not resumed.body["paused"]
    assert not resumed.body["draining"]
    assert (await live.post("/agents/a/pause")).body["pause_comment"] == ""
    for wish in ("pause", "resume", "drain"):
        (await live.post(f"/agents/nobody/{wish}")).problem(404, "not_found")


async def test_a_restart_reaches_the_agent_until_another_process_comes(live: Live) -> None:
    token = await live.register()
    refused = (await live.post("/agents/a/restart")).problem(409, "conflict")
    assert "a was never connected" in refused["detail"]
    async with live.connect(token, process="p1") as link:
        asked = await live.post("/agents/a/restart")
        assert asked.body["restart_requested_at"]
        assert (await link.until("mode")).desired.restart == "p1"
    async with live.connect(token, process="p1") as link:
        assert link.welcome.desired.restart == "p1"
    async with live.connect(token, process="p2") as link:
        assert link.welcome.desired.restart == ""
    assert (await live.get("/agents/a")).body["restart_requested_at"] is None
    (await live.post("/agents/nobody/restart")).problem(404, "not_found")


async def test_a_deleted_agent_is_sent_away_for_good(live: Live) -> None:
    token = await live.register()
    async with live.connect(token) as link:
        assert (await live.ask("DELETE", "/agents/a")).status == 204
        assert await link.closed() == CloseCode.UNREGISTERED
    (await live.get("/agents/a")).problem(404, "not_found")
    (await live.get("/agent/session", token=token)).problem(401, "invalid_token")
    (await live.ask("DELETE", "/agents/a")).problem(404, "not_found")


async def test_a_rotated_token_replaces_the_old_one_at_once(live: Live) -> None:
    old = await live.register()
    async with live.connect(old) as link:
        answer = await live.post("/agents/a/rotate-token")
        assert answer.body["name"] == "a"
        assert await link.closed() == CloseCode.UNREGISTERED
    (await live.get("/agent/session", token=old)).problem(401, "invalid_token")
    async with live.connect(answer.body["token"]):
        await state_of(live, "a", "online")
