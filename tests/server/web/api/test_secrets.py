"""Secrets over HTTP: they go in, and nothing gives them back."""

from __future__ import annotations

import json
import logging

import pytest

from remote_protocol.api.secrets import MAX_SECRET, SecretView
from tests.support.live_server import Live

VALUE = "correct-horse-battery"


async def put(live: Live, name: str = "A", token: str | None = None, **body: object) -> SecretView:
    answer = await live.ask("PUT", f"/secrets/{name}", {"value": VALUE, **body}, token)
    assert answer.status in (200, 201), answer.text
    assert VALUE not in answer.text
    return SecretView.model_validate(answer.body)


async def test_the_life_of_a_secret(live: Live) -> None:
    first = await live.ask("PUT", "/secrets/A", {"value": VALUE})
    assert first.status == 201
    view = SecretView.model_validate(first.body)
    assert (view.name, view.queues, view.all_queues) == ("A", ["default"], False)
    assert (view.created_by, view.problem) == ("first-admin", "")
    again = await live.ask("PUT", "/secrets/A", {"value": "other", "all_queues": True})
    assert again.status == 200 and again.body["all_queues"] and again.body["queues"] == []
    assert (await put(live)).all_queues, "a new value keeps whose it is"
    await live.post("/queues", {"name": "berlin"})
    changed = await live.ask("PATCH", "/secrets/A", {"queues": ["berlin"]})
    assert changed.body["queues"] == ["berlin"] and not changed.body["all_queues"]
    await put(live, "B")
    listed = await live.get("/secrets?limit=1")
    assert [item["name"] for item in listed.body["items"]] == ["A"]
    listed = await live.get(f"/secrets?cursor={listed.body['next_cursor']}")
    assert [item["name"] for item in listed.body["items"]] == ["B"]
    assert (await live.get("/secrets/A")).body == changed.body
    assert (await live.ask("DELETE", "/secrets/A")).status == 204
    for method in ("GET", "DELETE"):
        (await live.ask(method, "/secrets/A")).problem(404, "not_found")
    (await live.ask("PATCH", "/secrets/A", {"queues": []})).problem(404, "not_found")


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("A-B", {"value": "a"}, "is no name of a secret"),
        ("REMOTE_X", {"value": "a"}, "the agent's own"),
        ("A" * 129, {"value": "a"}, "1 to 128 letters"),
        ("A", {}, "value"),
        ("A", {"value": ""}, "value"),
        ("A", {"value": 5}, "value"),
        ("A", {"value": f"{VALUE}\0"}, "NUL"),
        ("A", {"value": VALUE + "x" * MAX_SECRET}, "at most 65536"),
        ("A", {"value": VALUE, "queues": ["x"], "all_queues": True}, "one of queues"),
        ("A", {"value": VALUE, "values": VALUE}, "unknown field"),
    ],
)
async def test_what_is_refused_shows_no_value(
    live: Live, name: str, body: dict[str, object], said: str
) -> None:
    answer = await live.ask("PUT", f"/secrets/{name}", body)
    answer.problem(422, "validation")
    assert said in answer.text and VALUE not in answer.text


async def test_queues_must_exist(live: Live) -> None:
    answer = await live.ask("PUT", "/secrets/A", {"value": VALUE, "queues": ["nowhere"]})
    answer.problem(404, "unknown_queue") if answer.status == 404 else answer.problem(
        422, "unknown_queue"
    )
    assert (await live.get("/secrets")).body["items"] == []


async def test_admins_set_and_operators_see_names(live: Live) -> None:
    await put(live)
    operator, viewer = await live.token_for("operator"), await live.token_for("viewer")
    for token in (operator, viewer):
        (await live.ask("PUT", "/secrets/A", {"value": "x"}, token)).problem(403, "forbidden")
        (await live.ask("PATCH", "/secrets/A", {"queues": []}, token)).problem(403, "forbidden")
        (await live.ask("DELETE", "/secrets/A", None, token)).problem(403, "forbidden")
    assert [one["name"] for one in (await live.get("/secrets", operator)).body["items"]] == ["A"]
    for path in ("/secrets", "/secrets/A"):
        (await live.get(path, viewer)).problem(403, "forbidden")


async def test_no_value_is_written_anywhere(
    live: Live, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await put(live)
    await put(live)
    await live.ask("PATCH", "/secrets/A", {"all_queues": True})
    audit = await live.get("/audit?subject=A")
    found = [(one["action"], json.dumps(one["detail"])) for one in audit.body["items"]]
    assert [action for action, _ in found] == [
        "secret.update",
        "secret.update",
        "secret.create",
    ]
    folder = live.services.config.server.data_dir
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "secrets.key" for path in files)
    for where in (str(found), caplog.text, "".join(capfd.readouterr())):
        assert VALUE not in where
    for path in files:
        assert VALUE.encode() not in path.read_bytes(), path


async def test_a_lost_key_is_said_and_nothing_new_is_sealed(live: Live) -> None:
    await put(live)
    key = live.services.config.server.data_dir / "secrets.key"
    key.chmod(0o644)
    listed = (await live.get("/secrets")).body["items"]
    assert "chmod 600" in listed[0]["problem"]
    answer = await live.ask("PUT", "/secrets/B", {"value": VALUE})
    answer.problem(409, "conflict")
    assert "chmod 600" in answer.text
    key.chmod(0o600)
    await put(live, "B")


async def test_who_may_submit_is_told_what_would_be_withheld(live: Live) -> None:
    spec = {"command": ["true"], "secrets": ["A"]}
    said = (await live.post("/jobs/explain", spec, await live.token_for("operator"))).body
    assert "no secret 'A'" in said["withheld"]["A"]
    await put(live)
    assert (await live.post("/jobs/explain", spec)).body["withheld"] == {}
    spec["secrets"] = ["B"]
    viewer = await live.token_for("viewer")
    assert (await live.post("/jobs/explain", spec, viewer)).body["withheld"] == {}
