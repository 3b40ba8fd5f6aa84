"""Agents register and unregister."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.registration import Registered, RegistrationView
from remote_protocol.errors import CloseCode
from tests.support.live_server import Live


async def registration_token(live: Live, **fields: Any) -> str:
    return str((await live.post("/registration-tokens", fields)).body["token"])


def body(name: str = "a", host: str = "h1", **more: Any) -> dict[str, Any]:
    return {"name": name, "fingerprint": host, **more}


async def test_a_host_is_enrolled_and_the_same_again_changes_nothing(live: Live) -> None:
    token = await registration_token(live, uses=1)
    settings = {"queues": ["default"], "labels": {"a": "b"}, "capacity": {"default": 3}}
    wanted = body(settings=settings, platform={"hostname": "h"})
    first = await live.post("/agent/register", wanted, token)
    assert first.status == 201
    enrolled = Registered.model_validate(first.body)
    assert enrolled.changed
    assert enrolled.token
    assert enrolled.assignment.model_dump() == settings
    again = await live.post("/agent/register", wanted, token)
    assert again.status == 200
    assert not again.body["changed"]
    own = await live.post("/agent/register", wanted, enrolled.token)
    assert (own.status, own.body["token"], own.body["changed"]) == (200, None, False)
    other = await live.post("/agent/register", body("b", "h2"), token)
    assert "used" in other.problem(401, "used_token")["detail"]


async def test_a_name_is_taken_over_only_on_purpose(live: Live) -> None:
    token = await registration_token(live, uses=None)
    old = (await live.post("/agent/register", body(), token)).body["token"]
    refused = await live.post("/agent/register", body(host="h2"), token)
    assert "--replace" in refused.problem(409, "name_taken")["detail"]
    async with live.connect(old) as link:
        humble = await live.post("/agent/register", body(host="h2", replace=True), token)
        assert "--allow-replace" in humble.problem(403, "forbidden")["detail"]
        token = await registration_token(live, allow_replace=True)
        taken = await live.post("/agent/register", body(host="h2", replace=True), token)
        assert taken.status == 201
        assert await link.closed() == CloseCode.UNREGISTERED
    (await live.get("/agent/session", token=old)).problem(401, "invalid_token")
    async with live.connect(taken.body["token"]):
        pass


async def test_queues_outside_the_token_or_unknown(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    token = await registration_token(live, queues=["berlin"])
    elsewhere = body(settings={"queues": ["default"]})
    refused = await live.post("/agent/register", elsewhere, token)
    assert "berlin" in refused.problem(403, "forbidden")["detail"]
    unknown = await live.post("/agent/register", body(settings={"queues": ["nowhere"]}), token)
    assert "berlin, default" in unknown.problem(422, "unknown_queue")["detail"]
    silent = await live.post("/agent/register", body(), token)
    assert silent.body["assignment"]["queues"] == ["berlin"]


async def test_too_many_labels_spend_no_use(live: Live) -> None:
    token = await registration_token(live)
    labels = {f"l{number}": "" for number in range(65)}
    refused = await live.post("/agent/register", body(settings={"labels": labels}), token)
    assert "at most 64 labels" in refused.problem(422, "validation")["detail"]
    assert (await live.post("/agent/register", body(), token)).status == 201


async def test_a_token_of_the_servers_own_labels(live: Live) -> None:
    token = await registration_token(live, labels={"trust": "high"})
    made = await live.post("/agent/register", body(settings={"labels": {"trust": "low"}}), token)
    assert made.body["assignment"]["labels"] == {"trust": "high"}


async def test_another_agents_token_is_refused(live: Live) -> None:
    token = await live.register("a")
    refused = await live.post("/agent/register", body("b"), token)
    assert "belongs to the agent 'a'" in refused.problem(403, "forbidden")["detail"]
    api = await live.post("/agent/register", body("b"))
    detail = api.problem(403, "wrong_token_kind")["detail"]
    assert "API token" in detail
    assert "registration token" in detail


async def test_an_agent_unregisters_itself(live: Live) -> None:
    token = await live.register("a")
    async with live.connect(token) as link:
        assert (await live.ask("DELETE", "/agent/registration", token=token)).status == 204
        assert await link.closed() == CloseCode.UNREGISTERED
    (await live.get("/agents/a")).problem(404, "not_found")
    (await live.ask("DELETE", "/agent/registration", token=token)).problem(401, "invalid_token")


async def test_an_agent_is_told_what_the_server_knows_of_it(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    wide = await registration_token(live, queues=["berlin", "default"])
    token = (await live.post("/agent/register", body(), wide)).body["token"]
    await live.ask("PATCH", "/queues/berlin", {"paused": True})
    await live.post("/agents/a/pause", {"comment": "new disk"})
    found = RegistrationView.model_validate(
        (await live.get("/agent/registration", token=token)).body
    )
    assert (found.kind, found.name, found.registered) == ("agent", "a", True)
    assert found.assignment is not None and set(found.assignment.queues) == {"berlin", "default"}
    assert {queue.name: queue.paused for queue in found.queues} == {
        "berlin": True,
        "default": False,
    }
    assert (found.paused, found.pause_comment, found.draining) == (True, "new disk", False)
    assert found.uses_left is None


async def test_a_registration_token_is_told_what_is_left_of_it(live: Live) -> None:
    token = await registration_token(live, uses=2, expires=60)
    for _ in range(3):  # asking spends nothing
        found = (await live.get("/agent/registration", token=token)).body
    assert (found["kind"], found["name"], found["uses_left"]) == ("registration", None, 2)
    assert found["expires_at"] and found["queues"] == [
        {"name": "default", "exists": True, "paused": False}
    ]
    anywhere = await registration_token(live, any_queue=True)
    assert (await live.get("/agent/registration", token=anywhere)).body["any_queue"]


async def test_an_agents_token_before_it_registers(live: Live) -> None:
    made = await live.post("/tokens", {"name": "t", "agent": "later", "queues": ["default"]})
    found = (await live.get("/agent/registration", token=made.body["token"])).body
    assert (found["name"], found["registered"], found["assignment"]) == ("later", False, None)
    (await live.get("/agent/registration")).problem(403, "wrong_token_kind")
    (await live.get("/agent/registration", token="rat_" + "x" * 43)).problem(401, "invalid_token")
