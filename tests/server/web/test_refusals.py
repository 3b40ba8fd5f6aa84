"""Refusals in the audit of a running server."""

from __future__ import annotations

from typing import Any

import pytest

from remote_server.domain.audit_budget import WINDOW
from tests.support.live_server import Live
from tests.support.visitor import visitor

FALSE = "rpt_" + "a" * 43


async def refused(live: Live) -> list[dict[str, Any]]:
    await live.services.trail.write()
    found = await live.get("/audit?result=refused")
    return [
        {name: item[name] for name in ("action", "result", "actor_kind", "actor", "subject")}
        for item in reversed(found.body["items"])
    ]


def entry(
    action: str, result: str, kind: str = "unknown", actor: str = "", subject: str = ""
) -> Any:
    return {
        "action": action,
        "result": result,
        "actor_kind": kind,
        "actor": actor,
        "subject": subject,
    }


async def test_who_may_not_is_told(live: Live) -> None:
    viewer = await live.token_for("viewer")
    await live.get("/tokens", viewer)
    await live.ask("DELETE", "/agents/berlin", token=viewer)
    await live.get("/jobs", FALSE)
    await live.get("/jobs", "")
    await live.post("/jobs", {"command": ["true"]}, "")
    assert await refused(live) == [
        entry("access", "forbidden", "api", "viewer-0", "GET /api/v1/tokens"),
        entry("agent.delete", "forbidden", "api", "viewer-0", "berlin"),
        entry("access", "invalid_token", "unknown", "", "GET /api/v1/jobs"),
        entry("job.submit", "missing_token"),
    ]


async def test_whose_token_holds_no_more_is_told(live: Live) -> None:
    made = (await live.post("/tokens", {"name": "ci"})).body
    await live.ask("DELETE", f"/tokens/{made['id']}")
    await live.get("/jobs", made["token"])
    assert await refused(live) == [
        entry("access", "invalid_token", "api", "ci", "GET /api/v1/jobs"),
    ]


async def test_what_was_not_done_is_told(live: Live) -> None:
    await live.ask("DELETE", "/queues/default")
    await live.post("/queues", {"name": "default"})
    await live.post("/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel")
    # Mistakes of form are not told.
    await live.post("/queues", {"name": "no name"})
    admin = ("api", "first-admin")
    assert await refused(live) == [
        entry("queue.delete", "conflict", *admin, "default"),
        entry("queue.create", "conflict", *admin, "default"),
        entry("job.cancel", "not_found", *admin, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ]


async def test_failed_sign_ins_are_counted(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(live.services.trail, "_clock", lambda: now[0])
    async with visitor(live, None) as browser:
        for _ in range(21):
            assert (await browser.sign_in(FALSE)).status == 401
    assert await refused(live) == [entry("session.sign_in", "invalid_token")]
    now[0] = WINDOW
    await live.services.trail.write()
    last = (await live.get("/audit?action=session.&limit=1")).body["items"][0]
    assert (last["repeated"], last["address"]) == (20, "127.0.0.1")


async def test_a_refused_registration_names_the_agent(live: Live) -> None:
    made = await live.post("/registration-tokens", {"queues": ["default"]})
    body = {"name": "berlin", "settings": {"queues": ["paris"]}, "fingerprint": "f"}
    await live.post("/queues", {"name": "paris"})
    assert (await live.post("/agent/register", body, made.body["token"])).status == 403
    (told,) = await refused(live)
    assert told == entry(
        "agent.register", "forbidden", "registration", "made by first-admin", "berlin"
    )


async def test_a_form_of_another_session_is_told(live: Live) -> None:
    async with visitor(live) as browser:
        assert (await browser.send("/queues", csrf="0" * 64, name="q")).status == 403
    (told,) = await refused(live)
    assert (told["action"], told["result"], told["actor_kind"]) == (
        "queue.create",
        "forbidden",
        "api",
    )
