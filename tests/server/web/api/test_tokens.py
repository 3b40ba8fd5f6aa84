"""Tokens over HTTP."""

from __future__ import annotations

import time

from remote_protocol.api.tokens import EXPIRY_HEADER, TokenCreated
from remote_protocol.errors import CloseCode
from tests.support.live_server import Live


async def test_an_api_token_works_until_it_is_revoked(live: Live) -> None:
    made = await live.post("/tokens", {"name": "ci", "role": "operator", "expires": "90d"})
    assert made.status == 201
    token = TokenCreated.model_validate(made.body)
    assert (token.kind, token.role, token.name) == ("api", "operator", "ci")
    assert token.expires_at
    assert abs(token.expires_at.timestamp() - time.time() - 90 * 86400) < 60
    assert (await live.get("/jobs", token.token)).status == 200
    listed = (await live.get("/tokens")).body["items"]
    assert {t["name"] for t in listed} == {"first-admin", "ci"}
    assert "token" not in listed[0]
    assert (await live.ask("DELETE", f"/tokens/{token.id}")).status == 204
    (await live.get("/jobs", token.token)).problem(401, "invalid_token")


async def test_an_expired_token_is_said_to_be_so(live: Live) -> None:
    made = await live.post("/tokens", {"name": "brief", "expires": 1e-6})
    expired = await live.get("/jobs", made.body["token"])
    assert "expired" in expired.problem(401, "expired_token")["detail"]


async def test_the_token_of_an_agent_to_come(live: Live) -> None:
    made = await live.post("/tokens", {"name": "for-a", "agent": "a"})
    assert (made.body["kind"], made.body["agent"], made.body["role"]) == ("agent", "a", None)
    assert made.body["token"].startswith("rat_")
    async with live.connect(made.body["token"]) as link:
        assert (await live.get("/agents/a")).body["state"] == "online"
        await live.ask("DELETE", f"/tokens/{made.body['id']}")
        assert await link.closed() == CloseCode.UNREGISTERED


async def test_registration_tokens_are_kept_apart(live: Live) -> None:
    made = await live.post("/registration-tokens", {"queues": ["default"], "uses": 2})
    assert made.body["uses_left"] == 2
    assert made.body["expires_at"]
    usual = await live.post("/registration-tokens")
    assert usual.status == 201
    assert (usual.body["queues"], usual.body["any_queue"]) == (["default"], False)
    assert (usual.body["uses_left"], usual.body["allow_replace"]) == (1, False)
    wide = {"any_queue": True, "uses": None, "allow_replace": True, "labels": {"zone": "a"}}
    made_wide = (await live.post("/registration-tokens", wide)).body
    assert (made_wide["queues"], made_wide["any_queue"]) == ([], True)
    assert (made_wide["uses_left"], made_wide["allow_replace"]) == (None, True)
    assert made_wide["labels"] == {"zone": "a"}
    both = await live.post("/registration-tokens", {"queues": ["default"], "any_queue": True})
    assert "not both" in both.problem(422, "validation")["detail"]
    identity = made.body["id"]
    assert identity in [t["id"] for t in (await live.get("/registration-tokens")).body["items"]]
    assert identity not in [t["id"] for t in (await live.get("/tokens")).body["items"]]
    (await live.ask("DELETE", f"/tokens/{identity}")).problem(404, "not_found")
    assert (await live.ask("DELETE", f"/registration-tokens/{identity}")).status == 204
    revoked = await live.post("/agent/register", {"name": "a"}, made.body["token"])
    revoked.problem(401, "invalid_token")
    unknown = await live.post("/registration-tokens", {"queues": ["nowhere"]})
    unknown.problem(422, "unknown_queue")


async def test_the_token_of_one_agent_covers_its_queues(live: Live) -> None:
    await live.post("/queues", {"name": "prod"})
    usual = (await live.post("/tokens", {"name": "a", "agent": "a"})).body
    assert usual["queues"] == ["default"]
    asking = {"name": "a", "fingerprint": "f", "settings": {"queues": ["prod"]}}
    refused = await live.post("/agent/register", asking, usual["token"])
    assert "'prod'" in refused.problem(403, "forbidden")["detail"]
    wide = {"name": "a", "agent": "a", "queues": ["prod"], "labels": {"zone": "a"}}
    made = (await live.post("/tokens", wide)).body
    enrolled = await live.post("/agent/register", asking, made["token"])
    assert enrolled.body["assignment"]["queues"] == ["prod"]
    assert enrolled.body["assignment"]["labels"] == {"zone": "a"}
    person = await live.post("/tokens", {"name": "p", "any_queue": True})
    assert "token of an agent" in person.problem(422, "validation")["detail"]


async def test_the_last_key_is_not_thrown_away(live: Live) -> None:
    (own,) = (await live.get("/tokens")).body["items"]
    refused = await live.ask("DELETE", f"/tokens/{own['id']}")
    assert "itself" in refused.problem(409, "conflict")["detail"]
    (await live.ask("DELETE", "/tokens/nope")).problem(404, "not_found")


async def test_who_am_i(live: Live) -> None:
    made = await live.post("/tokens", {"name": "ci", "role": "viewer", "expires": "90d"})
    mine = await live.get("/whoami", made.body["token"])
    assert mine.status == 200
    assert (mine.body["name"], mine.body["role"], mine.body["id"]) == (
        "ci",
        "viewer",
        made.body["id"],
    )
    assert made.body["token"] not in str(mine.body)
    agent = await live.post("/tokens", {"name": "a", "agent": "a"})
    (await live.get("/whoami", agent.body["token"])).problem(403, "wrong_token_kind")


async def test_who_has_a_token_that_ends_soon_is_told(live: Live) -> None:
    for lifetime, told in (("6d", True), ("8d", False), (None, False)):
        made = (await live.post("/tokens", {"name": "t", "expires": lifetime})).body
        answer = await live.get("/jobs", made["token"])
        ends = answer.headers.get(EXPIRY_HEADER)
        assert (ends is not None) is told
        if ends is not None:
            assert ends == made["expires_at"][:19] + "Z"
