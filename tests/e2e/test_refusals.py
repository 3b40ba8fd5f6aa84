"""Wrong tokens and bad input: each gets a clear sentence, a non-zero exit, and nothing is lost."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote_protocol.ids import Role
from tests.support.ports import free_port
from tests.support.stack import AGENT, BIN, Stack, until


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with one agent, shared; refused calls do not change it."""
    with Stack(tmp_path_factory.mktemp("refusals")) as stack:
        stack.start_server()
        stack.agent("a")
        yield stack


def call(stack: Stack, method: str, path: str, token: str | None, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, stack.url + path, headers=headers, timeout=30, **options)


def agent_token(stack: Stack) -> str:
    """The token of an agent that is registered but does not run."""
    names = [agent.name for agent in stack.client.agents().items]
    if "spare" not in names:
        stack.register("spare")
    return stack.client.rotate_agent_token("spare").token


def test_every_endpoint_refuses_every_wrong_token(place: Stack) -> None:
    registration, agent = place.registration_token(), agent_token(place)
    for token, words in ((registration, "registration token"), (agent, "agent token")):
        answer = call(place, "GET", "/api/v1/jobs", token)
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_token_kind")
        assert words in answer.json()["detail"] and "API token" in answer.json()["detail"]
        assert answer.headers["content-type"].startswith("application/problem+json")
    for path in ("/api/v1/agent/register", "/api/v1/agent/session"):
        method = "POST" if path.endswith("register") else "GET"
        answer = call(place, method, path, place.admin_token, json={"name": "x"})
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_token_kind"), path
    assert call(place, "GET", "/api/v1/jobs", None).json()["code"] == "missing_token"
    unknown = call(place, "GET", "/api/v1/jobs", "rpt_" + "x" * 43)
    assert (unknown.status_code, unknown.json()["code"]) == (401, "invalid_token")


def test_roles(place: Stack) -> None:
    viewer = place.client.create_token("v", Role.VIEWER).token
    operator = place.client.create_token("o", Role.OPERATOR).token
    assert place.ctl("job", "list", token=viewer).returncode == 0
    refused = place.ctl("run", "--", "true", token=viewer)
    assert refused.returncode == 255 and b"operator" in refused.stderr
    assert place.ctl("run", "--", "true", token=operator).returncode == 0
    refused = place.ctl("token", "create", "--name", "x", token=operator)
    assert refused.returncode == 1 and b"admin" in refused.stderr


def test_a_revoked_and_an_expired_token(place: Stack) -> None:
    made = place.client.create_token("gone")
    place.client.revoke_token(made.id)
    assert place.ctl("job", "list", token=made.token).returncode == 1
    short = place.client.create_token("short", expires=0.2)
    until(
        lambda: call(place, "GET", "/api/v1/jobs", short.token).status_code == 401,
        "the token expires",
    )
    answer = call(place, "GET", "/api/v1/jobs", short.token)
    assert answer.json()["code"] == "expired_token"


def test_registration_tokens_expire_and_are_used_up(place: Stack) -> None:
    once = place.registration_token(uses=1)
    assert place.register("one", token=once).returncode == 0
    used = place.register("two", token=once, check=False)
    assert used.returncode == 4 and "used" in used.stderr, used.stderr
    short = place.registration_token(expires=0.05)
    time.sleep(0.1)  # the token's own life time, no condition to wait for
    expired = place.register("three", token=short, check=False)
    assert expired.returncode == 4 and "expired" in expired.stderr, expired.stderr
    wrong = place.register("four", token=place.admin_token, check=False)
    assert wrong.returncode != 0 and "API token" in wrong.stderr, wrong.stderr


def test_register_is_idempotent(place: Stack) -> None:
    token = place.registration_token()
    first = place.register("twice", "--label", "a=b", token=token)
    identity = place.root / "agent-twice" / "identity.json"
    before = identity.read_bytes()
    assert first.returncode == 0 and identity.stat().st_mode & 0o777 == 0o600
    again = place.register("twice", "--label", "a=b", token=token)
    assert again.returncode == 0 and identity.read_bytes() == before
    assert [agent.name for agent in place.client.agents().items].count("twice") == 1


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("127.0.0.1:1", "no scheme"),
        ("ftp://127.0.0.1", "scheme"),
        ("http://127.0.0.1:{free}", "nothing listens"),
        ("http://name.invalid", "name.invalid"),
        ("http://127.0.0.1:{port}/api/v1", "api/v1"),
    ],
)
def test_bad_server_urls_are_named(place: Stack, url: str, says: str) -> None:
    url = url.format(free=free_port(), port=place.port)
    done = place.register("lost", url=url, token="rrt_" + "x" * 43, check=False)
    assert done.returncode != 0
    assert says in done.stderr and "Traceback" not in done.stderr, done.stderr
    ctl = place.ctl("job", "list", REMOTE_URL=url)
    assert ctl.returncode in (1, 2)
    assert b"Traceback" not in ctl.stderr and ctl.stderr.startswith(b"remotectl: "), ctl.stderr


def test_bad_toml_names_all_faults_with_lines(place: Stack, tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[agent]\nnaem = "x"\n[logs]\nsegments = "many"\nretention = "soon"\n')
    done = subprocess.run(
        [AGENT, "run", "--state-dir", tmp_path / "s", "--config", file],
        capture_output=True, text=True, env=place.env(), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    for where in ("agent.toml:2", "agent.toml:4", "agent.toml:5"):
        assert where in done.stderr, done.stderr
    file.write_text('[server]\nlisten = "nowhere"\ncolour = 1\n')
    done = subprocess.run(
        [BIN / "remote-server", "run", "--config", file, "--data-dir", tmp_path / "d"],
        capture_output=True, text=True, env=place.env(), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "agent.toml:2" in done.stderr and "agent.toml:3" in done.stderr, done.stderr


def server(stack: Stack, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "remote-server", "run", *[str(option) for option in options]],
        capture_output=True, text=True, env=stack.env(), timeout=60, check=False,
    )  # fmt: skip


def test_a_port_in_use_is_named(place: Stack, tmp_path: Path) -> None:
    done = server(place, "--listen", f"127.0.0.1:{place.port}", "--data-dir", tmp_path / "d")
    assert done.returncode != 0
    assert str(place.port) in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_data_dir_in_use_and_one_that_cannot_be_written(place: Stack, tmp_path: Path) -> None:
    done = server(place, "--listen", "127.0.0.1:0", "--data-dir", place.data_dir)
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    (tmp_path / "file").touch()
    done = server(place, "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "file" / "below")
    assert done.returncode != 0 and "Traceback" not in done.stderr, done.stderr
    assert str(tmp_path / "file") in done.stderr


def test_a_database_newer_than_the_program(stack: Stack) -> None:
    stack.server.stop()
    with sqlite3.connect(stack.data_dir / "server.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    done = server(stack, "--listen", "127.0.0.1:0", "--data-dir", stack.data_dir)
    assert done.returncode != 0
    assert "newer" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_bad_bodies(place: Stack) -> None:
    def submit(**options: Any) -> httpx.Response:
        return call(place, "POST", "/api/v1/jobs", place.admin_token, **options)

    assert submit(content=b"{nope").json()["code"] == "bad_request"
    many = submit(json={"command": [], "weight": 7, "colour": "red"})
    assert many.status_code == 422 and many.json()["code"] == "validation"
    fields = {fault["field"] for fault in many.json()["errors"]}
    assert {"weight", "colour"} <= fields, fields
    unknown = submit(json={"command": ["true"], "queue": "nowhere"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_queue")
    assert "default" in unknown.json()["detail"]
    huge = {"path": "f", "content": base64.b64encode(bytes(8 * 1024**2)).decode()}
    assert submit(json={"command": ["true"], "files": [huge]}).status_code in (413, 422)
    assert submit(content=b" " * (13 * 1024**2)).json()["code"] == "body_too_large"
    assert place.ctl("run", "--", "true").returncode == 0


def test_what_does_not_exist(place: Stack) -> None:
    for path in ("jobs/01KADVTZ7WFFFFFFFFFFFFFFFF", "agents/none", "queues/none", "nothing"):
        answer = call(place, "GET", f"/api/v1/{path}", place.admin_token)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    done = place.ctl("job", "cancel", "01KADVTZ7WFFFFFFFFFFFFFFFF")
    assert done.returncode == 1 and b"01KADVTZ7WFFFFFFFFFFFFFFFF" in done.stderr


@pytest.mark.parametrize("garbage", [b"\x00\xff" * 500, b"\x81\x85\0\0\0\0hello", os.urandom(4000)])
def test_garbage_on_the_websocket_harms_nobody(place: Stack, garbage: bytes) -> None:
    token = agent_token(place)
    request = (
        "GET /api/v1/agent/session HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Protocol: remote-agent.v1\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", place.port), 30) as wire:
        wire.sendall(request.encode())
        status = wire.recv(4096).split(b"\r\n", 1)[0]
        assert b" 101 " in status, status
        wire.sendall(garbage)
        with contextlib.suppress(OSError):  # the server may have closed it already
            wire.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while wire.recv(65536):
                pass
    assert place.ctl("run", "--", "true").returncode == 0
    assert "Traceback" not in place.server.words()


def test_an_agent_whose_token_is_rotated_ends_with_4(stack: Stack) -> None:
    agent = stack.agent("a")
    token = stack.ctl("agent", "rotate-token", "a", check=True).stdout.decode().strip()
    assert token.startswith("rat_")
    assert agent.wait() == 4, agent.words()
    # launchd starts again what ends with another code than 0.
    under_launchd = subprocess.run(
        [*agent.command[: agent.command.index("run")], "_launchd"],
        env={**agent.env, "REMOTE_AGENT_STATE_DIR": str(agent.state_dir)},
        timeout=120,
        check=False,
    )
    assert under_launchd.returncode == 0
    assert "token" in (agent.state_dir / "logs" / "service.log").read_text()
    assert stack.register("a", "--capacity", 4, token=token).returncode == 0
    agent.start()
    stack.online("a")


def test_a_second_agent_in_the_same_directory_is_refused(place: Stack) -> None:
    agent = place.agents["a"]
    done = subprocess.run(
        agent.command, capture_output=True, text=True, env=agent.env, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr
    assert agent.running
