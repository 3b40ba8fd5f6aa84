"""Webhooks over HTTP, and what a real receiver gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remote_protocol.api.webhooks import (
    DeliveryState,
    DeliveryView,
    JobEnded,
    WebhookCreated,
    WebhookTest,
    WebhookView,
)
from remote_server.config import WebhooksPart
from tests.support.live_server import Live, config_for, running
from tests.support.receiver import Receiver, status

LOCAL = WebhooksPart(allowed_networks=("127.0.0.0/8",))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
async def near(tmp_path: Path) -> AsyncIterator[Live]:
    """A server that may send to loopback."""
    config = config_for(tmp_path).model_copy(update={"webhooks": LOCAL})
    async with running(config) as found:
        yield found


def wanted(receiver: Receiver, **fields: object) -> dict[str, object]:
    return {"name": "alarm", "url": receiver.url, "events": ["job.ended"], **fields}


async def made(live: Live, receiver: Receiver, **fields: object) -> WebhookCreated:
    answer = await live.post("/webhooks", wanted(receiver, **fields))
    assert answer.status == 201, answer.text
    return WebhookCreated.model_validate(answer.body)


async def cancelled(live: Live, **fields: object) -> str:
    """The id of a job that has ended."""
    job = (await live.post("/jobs", {"command": ["true"], **fields})).body["id"]
    await live.post(f"/jobs/{job}/cancel", {})
    return str(job)


async def settled(live: Live, id: str) -> DeliveryView:
    """A message that waits no more."""
    while True:
        found = await live.get(f"/webhooks/alarm/deliveries/{id}")
        view = DeliveryView.model_validate(found.body)
        if view.state is not DeliveryState.PENDING:
            return view


async def test_the_life_of_a_webhook(live: Live) -> None:
    url = "https://example.com/hook?key=1"
    answer = await live.post("/webhooks", {"name": "a", "url": url, "events": ["job.ended"]})
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/webhooks/a"
    hook = WebhookCreated.model_validate(answer.body)
    assert hook.secret.startswith("whsec_") and hook.url == url
    shown = (await live.get("/webhooks/a")).body
    assert "secret" not in shown
    assert WebhookView.model_validate(shown).enabled
    (await live.post("/webhooks", {"name": "a", "url": url, "events": ["job.ended"]})).problem(
        409, "conflict"
    )
    change = {"queues": ["berlin"], "job_name": "back*", "enabled": False}
    changed = (await live.ask("PATCH", "/webhooks/a", change)).body
    assert (changed["queues"], changed["job_name"]) == (["berlin"], "back*")
    assert not changed["enabled"] and changed["events"] == ["job.ended"]
    cleared = (await live.ask("PATCH", "/webhooks/a", {"job_name": None})).body
    assert cleared["job_name"] is None and cleared["queues"] == ["berlin"]
    assert [one["name"] for one in (await live.get("/webhooks")).body["items"]] == ["a"]
    (await live.post("/webhooks/a/test")).problem(409, "conflict")
    assert (await live.ask("DELETE", "/webhooks/a")).status == 204
    (await live.get("/webhooks/a")).problem(404, "not_found")


async def test_only_admins(live: Live) -> None:
    operator = await live.token_for("operator")
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", "/a"),
        ("PATCH", "/a"),
        ("DELETE", "/a"),
        ("POST", "/a/test"),
        ("POST", "/a/rotate-secret"),
        ("GET", "/a/deliveries"),
        ("POST", "/a/deliveries/x/replay"),
    ):
        (await live.ask(method, f"/webhooks{path}", None, operator)).problem(403, "forbidden")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ftp://example.com/"),
        ("url", "https://user:hunter2@example.com/"),
        ("url", "https:///path"),
        ("url", "https://example.com/ space"),
        ("url", "https://example.com/#part"),
        ("url", "https://example.com:99999/"),
        ("url", "https://ex\\ample.com/"),
        ("url", "https://" + "a" * 3000),
        ("events", []),
        ("events", ["job.begun"]),
        ("states", ["running"]),
        ("job_name", ""),
        ("job_name", "x" * 200),
        ("name", "no spaces"),
    ],
)
async def test_faults_are_named(live: Live, field: str, value: object) -> None:
    body = {"name": "a", "url": "https://example.com", "events": ["job.ended"], field: value}
    problem = (await live.post("/webhooks", body)).problem(422, "validation")
    assert {fault["field"].split(".")[0] for fault in problem["errors"]} == {field}
    assert "hunter2" not in str(problem)


async def test_an_end_is_told_with_a_signature(near: Live, receiver: Receiver) -> None:
    hook = await made(near, receiver, job_name="back*", states=["cancelled"])
    await cancelled(near, name="other")
    job = await cancelled(near, name="backup", env={"SECRET": "hunter2"})
    (one,) = await receiver.has(1)
    assert one.signed_with(hook.secret)
    assert one.headers["content-type"] == "application/json"
    message = one.message
    assert isinstance(message, JobEnded)
    assert message.id == one.id and message.version == 1
    assert (message.data.id, message.data.name, message.data.queue) == (job, "backup", "default")
    assert (message.data.state, message.data.end_reason) == ("cancelled", "cancelled")
    assert message.data.submitted_by == "first-admin"
    assert b"hunter2" not in one.body and b"command" not in one.body
    view = await settled(near, one.id)
    assert (view.state, view.status, view.attempts, view.error) == ("delivered", 204, 1, "")
    assert view.subject == job
    listed = (await near.get("/webhooks/alarm/deliveries?state=delivered")).body["items"]
    assert [item["id"] for item in listed] == [one.id]
    assert (await near.get("/webhooks/alarm/deliveries?state=failed")).body["items"] == []
    metrics = (await near.get("/metrics")).text
    assert 'remote_webhook_messages_total{outcome="delivered"} 1' in metrics


async def test_a_secret_is_changed_without_a_gap(near: Live, receiver: Receiver) -> None:
    first = await made(near, receiver)
    second = (await near.post("/webhooks/alarm/rotate-secret", {"grace": "1h"})).body["secret"]
    await near.post("/webhooks/alarm/test")
    (one,) = await receiver.has(1)
    assert one.signed_with(first.secret) and one.signed_with(second)
    third = (await near.post("/webhooks/alarm/rotate-secret", {"grace": 0})).body["secret"]
    await near.post("/webhooks/alarm/test")
    two = (await receiver.has(2))[1]
    assert two.signed_with(third)
    assert not two.signed_with(first.secret) and not two.signed_with(second)
    assert len({first.secret, second, third}) == 3


async def test_a_test_is_tried_once_and_may_be_replayed(near: Live, receiver: Receiver) -> None:
    await made(near, receiver)
    receiver.first.append(status(500))
    test = await near.post("/webhooks/alarm/test")
    assert test.status == 202
    view = await settled(near, test.body["id"])
    assert (view.state, view.status) == ("failed", 500)
    assert "answered 500" in view.error
    assert isinstance(receiver.received[0].message, WebhookTest)
    (await near.post(f"/webhooks/alarm/deliveries/{view.id[:-1]}!/replay")).problem(
        404, "not_found"
    )
    again = await near.post(f"/webhooks/alarm/deliveries/{view.id}/replay")
    assert again.status == 202, again.text
    assert (await settled(near, view.id)).state == "delivered"
    assert [one.id for one in receiver.received] == [view.id, view.id]


async def test_pages_of_messages(near: Live, receiver: Receiver) -> None:
    await made(near, receiver)
    ids = [(await near.post("/webhooks/alarm/test")).body["id"] for _ in range(3)]
    first = (await near.get("/webhooks/alarm/deliveries?limit=2")).body
    rest = (await near.get(f"/webhooks/alarm/deliveries?cursor={first['next_cursor']}")).body
    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]


async def test_private_addresses_are_refused_by_default(live: Live, receiver: Receiver) -> None:
    await made(live, receiver)
    for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
        await live.ask("PATCH", "/webhooks/alarm", {"url": url})
        test = (await live.post("/webhooks/alarm/test")).body
        view = await settled(live, test["id"])
        assert view.state == "failed" and view.status is None
        assert "is not a public address" in view.error and "allowed_networks" in view.error
    assert receiver.received == []


async def test_a_url_is_not_in_the_servers_log(
    live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"name": "a", "url": "https://example.com/T0K3N", "events": ["job.ended"]}
    await live.post("/webhooks", body)
    await live.ask("PATCH", "/webhooks/a", {"url": "https://example.com/T0K3N2"})
    assert "T0K3N" not in "".join(capsys.readouterr())
