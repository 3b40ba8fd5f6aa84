"""The calls about groups, against a real server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from remote_protocol.api.groups import GroupDetail
from tests.support.live_server import Live
from tests.support.stored import submitted

TRUE = {"command": ["true"], "env": {"WORD": "not-for-logs"}}


async def ended(live: Live, group: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while not (found := (await live.get(f"/groups/{group}")).body)["ended_at"]:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)
    return dict(found)


@pytest.fixture
async def agents(live: Live) -> list[str]:
    for name, role in (("a", "web"), ("b", "web"), ("c", "db")):
        await live.register(name, labels={"role": role}, capacity={"default": 2})
    return ["a", "b", "c"]


async def test_a_group_is_submitted_listed_and_shown(live: Live, agents: list[str]) -> None:
    body = {"spec": TRUE, "select": {"labels": {"role": "web"}}, "max_parallel": 1}
    answer = await live.post("/groups", body)
    assert answer.status == 201, answer.text
    group = GroupDetail.model_validate(answer.body)
    assert answer.headers["Location"] == f"/api/v1/groups/{group.id}"
    assert set(answer.body) == set(GroupDetail.model_fields)
    assert [one.agent for one in group.members] == ["a", "b"]
    assert (group.size, group.unavailable, group.max_parallel) == (2, 2, 1)
    assert group.unavailable_agents[0].reason == "offline"
    shown = await live.get(f"/groups/{group.id}?limit=1")
    assert [one["agent"] for one in shown.body["members"]] == ["a"]
    rest = await live.get(f"/groups/{group.id}/members?cursor={shown.body['next_cursor']}")
    assert [one["agent"] for one in rest.body["items"]] == ["b"]
    listed = await live.get("/groups?limit=1")
    assert [one["id"] for one in listed.body["items"]] == [group.id]
    assert "members" not in listed.body["items"][0]
    job = (await live.get(f"/jobs/{group.members[0].job}")).body
    assert (job["group"], job["wanted_agent"]) == (group.id, "a")
    assert job["pending_reason"] == "agent 'a' is offline"


async def test_jobs_are_listed_by_group(live: Live, agents: list[str]) -> None:
    await submitted(live.services.store, time.time())
    group = (await live.post("/groups", {"spec": TRUE})).body["id"]
    await submitted(live.services.store, time.time())
    found = (await live.get(f"/jobs?group={group}&limit=2")).body
    assert [job["wanted_agent"] for job in found["items"]] == ["c", "b"]
    rest = (await live.get(f"/jobs?group={group}&cursor={found['next_cursor']}")).body
    assert [job["wanted_agent"] for job in rest["items"]] == ["a"]
    assert rest["next_cursor"] is None
    assert (await live.get(f"/jobs?group={group}&state=running")).body["items"] == []
    (await live.get("/jobs?group=x")).problem(422, "validation")


async def test_a_key_gives_the_first_group_again(live: Live, agents: list[str]) -> None:
    key = {"Idempotency-Key": "patch-7"}
    first = await live.post("/groups", {"spec": TRUE}, headers=key)
    again = await live.post("/groups", {"spec": TRUE}, headers=key)
    assert (first.status, again.status) == (201, 200)
    assert first.body["id"] == again.body["id"]
    other = await live.post("/groups", {"spec": TRUE, "max_parallel": 1}, headers=key)
    assert first.body["id"] in other.problem(409, "conflict")["detail"]


async def test_what_a_group_cannot_have(live: Live, agents: list[str]) -> None:
    spec = {**TRUE, "agent": "a", "stdin": True, "labels": {"role": "db"}}
    body = {"spec": spec, "select": {"labels": {"role": "web"}}}
    for path in ("/groups", "/groups/explain"):
        errors = (await live.post(path, body)).problem(422, "validation")["errors"]
        assert [error["field"] for error in errors] == [
            "spec.agent",
            "spec.stdin",
            "select.labels.role",
        ]
    none = await live.post("/groups", {"spec": TRUE, "select": {"labels": {"gpu": "1"}}})
    assert "has gpu=1" in none.problem(422, "unknown_agent")["detail"]
    online = await live.post("/groups", {"spec": TRUE, "select": {"online_only": True}})
    assert "and takes jobs now" in online.problem(422, "unknown_agent")["detail"]
    (await live.post("/groups", {"spec": {**TRUE, "queue": "x"}})).problem(422, "unknown_queue")


async def test_a_group_is_explained(live: Live, agents: list[str]) -> None:
    found = (await live.post("/groups/explain", {"spec": TRUE})).body
    assert (found["size"], found["agents"], found["unavailable"]) == (3, agents, 3)
    assert (await live.get("/groups")).body["items"] == []


async def test_a_group_is_cancelled(live: Live, agents: list[str]) -> None:
    group = (await live.post("/groups", {"spec": TRUE})).body["id"]
    answer = await live.post(f"/groups/{group}/cancel", {"reason": "wrong hosts"})
    assert answer.status == 202 and answer.body["cancel_requested"]
    found = await ended(live, group)
    assert (found["state"], found["counts"]["cancelled"]) == ("cancelled", 3)
    assert found["members"][0]["end_detail"] == (
        "cancelled while it waited: its group was cancelled: wrong hosts"
    )
    assert (await live.post(f"/groups/{group}/cancel")).status == 200
    missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    (await live.post(f"/groups/{missing}/cancel")).problem(404, "not_found")
    (await live.get(f"/groups/{missing}")).problem(404, "not_found")
    (await live.get(f"/groups/{missing}/members")).problem(404, "not_found")


async def test_who_may(live: Live, agents: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    viewer = await live.token_for("viewer")
    (await live.post("/groups", {"spec": TRUE}, viewer)).problem(403, "forbidden")
    group = (await live.post("/groups", {"spec": TRUE})).body["id"]
    (await live.post(f"/groups/{group}/cancel", None, viewer)).problem(403, "forbidden")
    assert (await live.get(f"/groups/{group}", viewer)).body["allowed_actions"] == []
    entries = (await live.get("/audit?limit=10")).body["items"]
    assert ("group.submit", group) in [(one["action"], one["subject"]) for one in entries]
    assert "not-for-logs" not in str(entries)


async def test_no_environment_comes_into_the_log(
    live: Live, agents: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    from structlog.testing import capture_logs

    with capture_logs() as lines:
        group = (await live.post("/groups", {"spec": TRUE})).body["id"]
        await live.post("/groups/explain", {"spec": TRUE})
        await live.post(f"/groups/{group}/cancel")
    assert "not-for-logs" not in str(lines)
