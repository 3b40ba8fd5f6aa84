"""The API says what may be done, and that can be done: every action, role and state is tried."""

from __future__ import annotations

import time
from typing import Any

import pytest

from remote_protocol.ids import Role
from tests.support.live_server import Live
from tests.support.stored import finish, submitted
from tests.support.stored import running as run_job

CALLS: dict[str, dict[str, tuple[str, str, object]]] = {
    "jobs": {"cancel": ("POST", "/cancel", None), "retry": ("POST", "/retry", None)},
    "agents": {
        "pause": ("POST", "/pause", None),
        "resume": ("POST", "/resume", None),
        "drain": ("POST", "/drain", None),
        "restart": ("POST", "/restart", None),
        "change": ("PATCH", "", {"labels": {"a": "b"}}),
        "rotate_token": ("POST", "/rotate-token", None),
        "delete": ("DELETE", "", None),
    },
    "queues": {
        "pause": ("PATCH", "", {"paused": True}),
        "resume": ("PATCH", "", {"paused": False}),
        "change": ("PATCH", "", {"description": "d"}),
        "make_default": ("PATCH", "", {"default": True}),
        "delete": ("DELETE", "", None),
    },
    "tokens": {"revoke": ("DELETE", "", None)},
}
"""How each action is done."""


ADMINS = {
    "jobs": set(),
    "agents": {"change", "rotate_token", "delete"},
    "queues": {"make_default", "delete"},
    "tokens": {"revoke"},
}
"""What admins alone may do."""


async def made(live: Live, kind: str) -> list[str]:
    """The things of a kind, in different states: paths."""
    store, now = live.services.store, time.time()
    if kind == "jobs":
        ended = await run_job(store, now=now)
        await finish(store, ended, now=now)
        return [f"/jobs/{await submitted(store, now)}", f"/jobs/{ended.job}"]
    if kind == "agents":
        await live.register("a1")
        await live.register("a2")
        await live.post("/agents/a2/pause")
        return ["/agents/a1", "/agents/a2"]
    if kind == "queues":
        await live.post("/queues", {"name": "q1"})
        return ["/queues/q1", "/queues/default"]
    body = (await live.post("/tokens", {"name": "t1"})).body
    return [f"/tokens/{body['id']}"]


async def shown(live: Live, path: str, token: str) -> dict[str, Any]:
    """The thing as the bearer of a token sees it."""
    if path.startswith("/tokens/"):
        items = (await live.get("/tokens", token)).body["items"]
        return next(item for item in items if path.endswith(item["id"]))
    found: dict[str, Any] = (await live.get(path, token)).body
    return found


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(CALLS))
async def test_what_is_allowed_can_be_done_and_nothing_else_of_another_role(
    live: Live, kind: str, role: Role
) -> None:
    token = await live.token_for(role)
    for path in await made(live, kind):
        if kind == "tokens" and role is not Role.ADMIN:
            method, below, body = CALLS[kind]["revoke"]
            (await live.ask(method, path + below, body, token)).problem(403, "forbidden")
            continue
        allowed = (await shown(live, path, token))["allowed_actions"]
        assert set(allowed) - {"submit_again"} <= set(CALLS[kind])
        for action, (method, below, body) in CALLS[kind].items():
            if action in allowed:
                continue
            answer = await live.ask(method, path + below, body, token)
            if role is Role.VIEWER or (role is Role.OPERATOR and action in ADMINS[kind]):
                answer.problem(403, "forbidden")
            else:
                # What asks for what is so already changes nothing, and is no mistake.
                assert answer.status in (200, 409), (path, action, answer.text)
        # Last, what takes the thing away.
        for action in sorted(allowed, key=lambda name: name == "delete"):
            if action == "submit_again":
                continue
            method, below, body = CALLS[kind][action]
            answer = await live.ask(method, path + below, body, token)
            assert answer.status in (200, 201, 202, 204), (path, action, answer.text)
            if action == "make_default":
                # So that it may be deleted.
                await live.ask("PATCH", "/queues/default", {"default": True})


async def test_lists_and_a_submit_say_it_too(live: Live) -> None:
    operator = await live.token_for("operator")
    viewer = await live.token_for("viewer")
    job = (await live.post("/jobs", {"command": ["true"]}, operator)).body
    assert job["allowed_actions"] == ["cancel", "submit_again"]
    (listed,) = (await live.get("/jobs", operator)).body["items"]
    assert listed["allowed_actions"] == job["allowed_actions"]
    (seen,) = (await live.get("/jobs", viewer)).body["items"]
    assert seen["allowed_actions"] == []
    (queue,) = (await live.get("/queues", operator)).body["items"]
    assert queue["allowed_actions"] == ["pause", "change"]
    await live.register("a")
    (agent,) = (await live.get("/agents", operator)).body["items"]
    assert agent["allowed_actions"] == ["pause", "drain"]
    own = (await live.get("/whoami")).body
    assert own["allowed_actions"] == [], "a token cannot revoke itself"
