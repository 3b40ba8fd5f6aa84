"""Queues over HTTP."""

from __future__ import annotations

from remote_protocol.api.queues import QueueView
from tests.support.live_server import Live


async def test_the_life_of_a_queue(live: Live) -> None:
    wanted = {"name": "berlin", "description": "In Berlin", "log_retention": "7d"}
    made = await live.post("/queues", wanted)
    assert made.status == 201
    assert made.headers["Location"] == "/api/v1/queues/berlin"
    queue = QueueView.model_validate(made.body)
    assert (queue.description, queue.log_retention, queue.healthy) == ("In Berlin", 604800, False)
    assert (await live.get("/queues/berlin")).body == made.body
    (await live.post("/queues", wanted)).problem(409, "conflict")
    changed = await live.ask("PATCH", "/queues/berlin", {"paused": True, "log_retention": None})
    assert changed.body["paused"]
    assert changed.body["description"] == "In Berlin"
    assert changed.body["log_retention"] is None
    kept = await live.ask("PATCH", "/queues/berlin", {"job_retention": "30d"})
    assert kept.body["job_retention"] == 30 * 86400
    assert (await live.ask("DELETE", "/queues/berlin")).status == 204
    (await live.get("/queues/berlin")).problem(404, "not_found")


async def test_a_queue_in_use_stays(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    await live.post("/jobs", {"command": ["true"], "queue": "berlin"})
    refused = await live.ask("DELETE", "/queues/berlin")
    assert "berlin" in refused.problem(409, "conflict")["detail"]
    view = (await live.get("/queues/berlin")).body
    assert view["queued"] == 1
    assert 0 <= view["oldest_seconds"] < 20


async def test_lists_are_paged(live: Live) -> None:
    for name in ("x", "a"):
        await live.post("/queues", {"name": name})
    first = (await live.get("/queues?limit=2")).body
    assert [queue["name"] for queue in first["items"]] == ["a", "default"]
    second = (await live.get(f"/queues?cursor={first['next_cursor']}")).body
    assert [queue["name"] for queue in second["items"]] == ["x"]


async def test_one_is_the_default(live: Live) -> None:
    made = await live.post("/queues", {"name": "berlin", "default": True})
    assert made.body["default"] and "delete" not in made.body["allowed_actions"]
    assert not (await live.get("/queues/default")).body["default"]
    job = (await live.post("/jobs", {"command": ["true"]})).body
    assert job["queue"] == "berlin"
    batch = {"jobs": [{"command": ["true"]}, {"command": ["true"], "queue": "default"}]}
    ids = (await live.post("/jobs/batch", batch)).body["ids"]
    queues = [(await live.get(f"/jobs/{one}")).body["queue"] for one in ids]
    assert queues == ["berlin", "default"]
    explained = await live.post("/jobs/explain", {"command": ["true"]})
    assert "berlin" in explained.body["reason"]
    refused = await live.ask("DELETE", "/queues/berlin")
    assert "is the default one" in refused.problem(409, "conflict")["detail"]
    refused = await live.ask("PATCH", "/queues/berlin", {"default": False})
    assert "make another one the default" in refused.problem(409, "conflict")["detail"]
    assert (await live.ask("PATCH", "/queues/default", {"default": True})).body["default"]
    assert not (await live.get("/queues/berlin")).body["default"]


async def test_a_retry_stays_in_its_queue(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    await live.post(f"/jobs/{job}/cancel")
    await live.post("/queues", {"name": "berlin", "default": True})
    again = await live.post(f"/jobs/{job}/retry")
    assert again.status == 201 and again.body["queue"] == "default"


async def test_tokens_for_hosts_without_queues_cover_the_default_one(live: Live) -> None:
    old = (await live.post("/registration-tokens", {})).body
    await live.post("/queues", {"name": "berlin", "default": True})
    new = (await live.post("/registration-tokens", {})).body
    assert (old["queues"], new["queues"]) == (["default"], ["berlin"])
    agent = (await live.post("/tokens", {"name": "h", "agent": "host"})).body
    assert agent["queues"] == ["berlin"]


async def test_an_operator_does_not_choose_the_default(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    token = (await live.post("/tokens", {"name": "op", "role": "operator"})).body["token"]
    refused = await live.ask("PATCH", "/queues/berlin", {"default": True}, token)
    assert "only an admin chooses" in refused.problem(403, "forbidden")["detail"]


async def test_faults(live: Live) -> None:
    body = (await live.post("/queues", {"name": "no spaces", "colour": 1})).problem(
        422, "validation"
    )
    assert {fault["field"] for fault in body["errors"]} == {"name", "colour"}
    (await live.ask("PATCH", "/queues/nowhere", {})).problem(404, "not_found")
    (await live.ask("DELETE", "/queues/nowhere")).problem(404, "not_found")


async def test_operators_do_not_make_what_ran_vanish(live: Live) -> None:
    operator = await live.token_for("operator")
    path = "/queues/default"
    refused = await live.ask("PATCH", path, {"job_retention": "1s"}, operator)
    assert "kept for 1h at least" in refused.problem(403, "forbidden")["detail"]
    assert (await live.ask("PATCH", path, {"job_retention": "2h"}, operator)).status == 200
    assert (await live.ask("PATCH", path, {"job_retention": None}, operator)).status == 200
    assert (await live.ask("PATCH", path, {"job_retention": "1s"})).status == 200


async def test_operators_do_not_make_logs_vanish(live: Live) -> None:
    operator = await live.token_for("operator")
    path = "/queues/default"
    for body, words in (
        ({"log_retention": "59m"}, "logs are kept for 1h at least"),
        ({"log_max_total": 1}, "256.0 MiB of logs are kept at least"),
    ):
        refused = await live.ask("PATCH", path, body, operator)
        assert words in refused.problem(403, "forbidden")["detail"]
        assert (await live.ask("PATCH", path, body)).status == 200
    allowed = {"log_retention": "1h", "log_max_total": "256MiB"}
    assert (await live.ask("PATCH", path, allowed, operator)).status == 200
