"""What is done around every call: access, errors as problems, HEAD, times."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from remote_protocol.ids import Role
from remote_server.errors import StoreUnavailable
from remote_server.logging_setup import REQUESTS
from remote_server.web import application
from remote_server.web.application import ROUTES
from tests.support.alarms import alarms
from tests.support.bounds import unbounded
from tests.support.live_server import Live, config_for, running

GUARDED = [route for route in ROUTES if route.access.kinds and not route.page]


def path_of(route: Any) -> str:
    return re.sub(r"\{\w+\}", "x", route.path).removeprefix("/api/v1")


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
async def test_every_guarded_call_wants_a_token(live: Live, route: Any) -> None:
    path = path_of(route)
    missing = await live.ask(route.method, path, token="")
    missing.problem(401, "missing_token")
    assert missing.headers["WWW-Authenticate"].startswith("Bearer")
    (await live.ask(route.method, path, token="rpt_" + "x" * 43)).problem(
        *((401, "invalid_token") if route.access.role else (403, "wrong_token_kind"))
    )
    job_token = await live.ask(route.method, path, token="rjt_" + "x" * 43)
    detail = job_token.problem(403, "wrong_token_kind")["detail"]
    assert "job token" in detail
    assert route.access.words in detail


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_roles_are_asked_for(live: Live, role: Role) -> None:
    token = await live.token_for(role)
    for route in GUARDED:
        if route.access.role and not role.includes(route.access.role):
            answer = await live.ask(route.method, path_of(route), token=token)
            assert f"role {route.access.role}" in answer.problem(403, "forbidden")["detail"]


async def test_paths_and_methods_that_do_not_exist(live: Live) -> None:
    assert "openapi.json" in (await live.get("/nowhere")).problem(404, "not_found")["detail"]
    wrong = await live.ask("PUT", "/jobs")
    assert "GET, HEAD, POST" in wrong.problem(405, "method_not_allowed")["detail"]
    assert wrong.headers["Allow"] == "GET, HEAD, POST"
    (await live.get("/jobs/nope")).problem(404, "not_found")


async def test_head_is_get_without_a_body(live: Live) -> None:
    async with live.open("HEAD", "/healthz", "") as response:
        assert response.status == 200
        assert await response.read() == b""


async def test_an_unavailable_store_is_said_with_a_time_to_come_back(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("the disk is full; free some space")

    monkeypatch.setattr(live.services.store, "submit", away)
    answer = await live.post("/jobs", {"command": ["true"]})
    assert "disk is full" in answer.problem(503, "store_unavailable")["detail"]
    assert answer.headers["Retry-After"] == "1"


async def test_a_bug_is_logged_and_tells_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("the inside of the server")

    monkeypatch.setattr(live.services.store, "queues", broken)
    with capture_logs() as logs:
        answer = await live.get("/queues")
    assert "inside" not in json.dumps(answer.problem(500, "internal"))
    (said,) = [entry for entry in logs if entry["event"] == "request failed"]
    assert isinstance(said["exc_info"], ZeroDivisionError)


async def test_the_request_log_holds_no_token(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, REQUESTS.name)
    with capture_logs() as logs:
        await live.get("/queues")
    assert {"request"} <= {entry["event"] for entry in logs}
    assert live.token not in json.dumps(logs, default=str)


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_error(
    live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, REQUESTS.name)
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(*live.server.address)
        writer.write(
            b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            b"Authorization: Bearer " + live.token.encode() + b'\r\n\r\n{"comm'
        )
        await writer.drain()
        await live.get("/queues")
        writer.close()
        await writer.wait_closed()
        del reader
        async with asyncio.timeout(20):
            while not any(entry.get("path") == "/api/v1/jobs" for entry in logs):
                await asyncio.sleep(0.01)
    assert alarms(logs) == []


def test_who_asks_for_the_description_at_the_same_time_waits_for_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, another = list[str](), threading.Event()

    def slow(routes: object, version: str) -> dict[str, str]:
        if made:
            another.set()
        made.append(version)
        another.wait(0.5)  # nobody else comes
        return {"openapi": "3.1.0"}

    monkeypatch.setattr(application, "document", slow)
    application._described.cache_clear()
    try:
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(application.description) for _ in range(4)]
        assert {one.result() for one in asked} == {b'{"openapi": "3.1.0"}'}
    finally:
        application._described.cache_clear()
    assert len(made) == 1


@pytest.mark.parametrize(
    "query",
    dict.fromkeys(route.query for route in ROUTES if route.query and not route.page),
    ids=lambda query: query.__name__,
)
def test_every_field_of_every_query_has_a_bound(query: Any) -> None:
    assert unbounded(query) == []


@pytest.fixture
async def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    """A server that writes a line once in a time that a busy machine does not exceed."""
    monkeypatch.setattr(application, "_QUIET", 3600.0)
    async with running(config_for(tmp_path)) as found:
        yield found


async def test_failed_sign_ins_are_written_down_and_throttled(patient: Live) -> None:
    live = patient
    with capture_logs() as logs:
        for number in range(50):
            await live.get("/jobs", f"rpt_{number:043}")
        await live.get("/jobs", "rrt_" + "x" * 43)
    said = [entry for entry in logs if entry["event"] == "sign-in refused"]
    assert [entry["code"] for entry in said] == ["invalid_token", "wrong_token_kind"]
    assert said[0]["address"] == "127.0.0.1"
    assert said[0]["path"] == "/api/v1/jobs"


@pytest.mark.parametrize(
    "body",
    dict.fromkeys(route.body for route in ROUTES if route.body and not route.page),
    ids=lambda body: body.__name__,
)
def test_every_field_of_every_body_has_a_bound(body: Any) -> None:
    assert unbounded(body) == []


async def test_the_log_says_who_changed_what(live: Live) -> None:
    operator = await live.token_for("operator")
    names = {one["name"]: one["id"] for one in (await live.get("/tokens")).body["items"]}
    (name,) = (name for name in names if name.startswith("operator"))
    await live.register("berlin")
    with capture_logs() as logs:
        for method, path, body, who in (
            ("POST", "/queues", {"name": "q"}, ""),
            ("PATCH", "/queues/q", {"paused": True, "description": "\n" + "x" * 1900}, operator),
            ("POST", "/agents/berlin/pause", {"comment": "disk"}, operator),
            ("POST", "/agents/berlin/resume", None, operator),
            ("POST", "/agents/berlin/drain", None, operator),
            ("PATCH", "/agents/berlin", {"labels": {"a": "b"}}, ""),
            ("POST", "/agents/berlin/rotate-token", None, ""),
            ("DELETE", "/agents/berlin", None, ""),
            ("POST", "/tokens", {"name": "new", "role": "viewer"}, ""),
            ("DELETE", "/queues/q", None, ""),
        ):
            answer = await live.ask(method, path, body, who or None)
            assert answer.status < 300, answer.text
            line = logs[-1] if logs[-1]["event"] == "change" else logs[-2]
            assert (line["method"], line["path"]) == (method, f"/api/v1{path}")
            assert (line["by"] == name) is bool(who)
            assert line["token_id"] == names[line["by"]]
            assert line["log_level"] == "info" and len(line["given"]) <= 500
        lines = [line for line in logs if line["event"] == "change"]
        assert len(lines) == 10
        assert lines[2]["given"] == '{"comment":"disk"}'
        # What was refused has changed nothing; jobs say themselves who wanted what.
        await live.ask("DELETE", "/queues/none")
        await live.ask("DELETE", "/queues/default", None, operator)
        await live.ask("PATCH", "/queues/default", {"paused": 7})
        await live.get("/queues")
        await live.post("/jobs", {"command": ["true"]})
        assert [line for line in logs if line["event"] == "change"] == lines
        assert lines[0]["address"] == "127.0.0.1"
    for secret in (live.token, operator, "rat_", "rpt_"):
        assert secret not in str(lines)


async def test_the_log_says_which_hosts_were_enrolled(patient: Live) -> None:
    live = patient
    made = (await live.post("/registration-tokens", {"uses": None})).body
    first, second = ({"name": name, "fingerprint": name} for name in ("a", "b"))
    with capture_logs() as logs:
        for body in (first, first, second):
            answer = await live.post("/agent/register", body, made["token"])
            assert answer.status in (200, 201)
        token = answer.body["token"]
        assert (await live.ask("DELETE", "/agent/registration", token=token)).status == 204
        await live.post("/agent/register", second, made["token"])
    lines = [line for line in logs if line["event"] == "change"]
    assert [line["method"] for line in lines] == ["POST", "POST", "DELETE"], "the last is throttled"
    assert [line["token_id"] == made["id"] for line in lines] == [True, True, False]
    assert [json.loads(line["given"])["name"] for line in lines[:2]] == ["a", "b"]
    assert "rrt_" not in str(lines) and "rat_" not in str(lines)
