"""People and programs with an API token: bodies, lists, readers and jobs that ask for too much."""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import ExitStack
from typing import Any

import pytest

from remote_client.client import Client
from remote_client.errors import ApiError
from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.ids import Role
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from tests.hostile.place import Place
from tests.support.rogues import Reply, dial, read_reply
from tests.support.stack import until

pytestmark = pytest.mark.timeout(300)  # An attack takes a while on a busy machine.


def call(
    place: Place, method: str, path: str, token: str, body: bytes = b"", **headers: str
) -> Reply | None:
    """One request of a user; None when the server hangs up."""
    more = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in headers.items())
    head = f"{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}"
    with dial(place.stack.port, "127.0.0.1", 60) as link:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body)
        with contextlib.suppress(ConnectionError):
            return read_reply(link, method, most=64 << 20)
    return None


# Bodies with very many faults ------------------------------------------------------------------

UNKNOWN = b"{" + b",".join(b'"u%d":0' % number for number in range(700)) + b"}"
FAULTY = {
    "7,000 jobs of 700 unknown fields": b",".join([UNKNOWN] * 7_000),
    "10,000 jobs of nothing": b",".join([b"{}"] * 10_000),
    "10,000 numbers": b",".join([b"1"] * 10_000),
    "wrong types": b",".join([b'{"command":0,"env":0,"files":0,"labels":0,"queue":0}'] * 9_000),
    "one job of many labels": b'{"command":["x"],"labels":{'
    + b",".join(b'"\xc3\xa9%d":0' % number for number in range(300_000))
    + b"}}",
    "one job of many files": b'{"command":["x"],"files":[' + b",".join([b"{}"] * 400_000) + b"]}",
    "as many values as there may be": b",".join([UNKNOWN] * 280),
    "as many empty jobs": b",".join([b"{}"] * 2_000),
    "deep": b"[" * 10_000_000,
    "a text without an end": b'{"command":["' + b'\\",' * 5_000_000,
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_batch_of_faults_costs_little(place: Place, what: str) -> None:
    body = b'{"jobs":[' + FAULTY[what] + b"]}"
    with place.attacked():
        reply = call(place, "POST", "/jobs/batch", place.token(Role.OPERATOR), body)
        assert reply is None or 400 <= reply.status < 500
        assert reply is None or len(reply.body) < 100_000


ENVIRONMENTS = {
    "bad names": b",".join(b'"%d=":""' % number for number in range(400_000)),
    "wrong types": b",".join(b'"k%d":0' % number for number in range(400_000)),
    "empty": b",".join(b'"k%d":""' % number for number in range(400_000)),
}


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_an_environment_of_faults_costs_little(place: Place, what: str) -> None:
    body = b'{"command":["x"],"env":{' + ENVIRONMENTS[what] + b"}}"
    with place.attacked():
        reply = call(place, "POST", "/jobs", place.token(Role.OPERATOR), body)
        assert reply is None or 400 <= reply.status < 500
        assert reply is None or len(reply.body) < 100_000


def test_slow_bodies_hold_little_and_not_for_long(place: Place) -> None:
    token = place.token(Role.OPERATOR)
    head = f"POST /api/v1/jobs/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    begun = f"{head}Content-Length: {60 << 20}\r\n\r\n".encode() + b'{"jobs":[' + b" " * (1 << 20)
    with place.attacked(), ExitStack() as held:
        links = []
        for number in range(100):
            with contextlib.suppress(OSError):
                link = held.enter_context(dial(place.stack.port, f"127.0.1.{number + 1}", 5))
                link.settimeout(0.2)
                links.append(link)
                for _ in range(8):
                    link.sendall(begun)
        # An honest one finds room meanwhile.
        place.short()
        until(lambda: all(ended(link) for link in links), "the bodies are given up", 100)


def ended(link: Any) -> bool:
    """Whether the server has given a connection up, by an answer or without."""
    try:
        link.recv(65536)
    except (TimeoutError, BlockingIOError):
        return False
    except OSError:
        return True
    return True


# Numbers and texts -----------------------------------------------------------------------------

JOBS = {
    "timeout": ['"timeout":1' + "0" * 400, '"timeout":1e400', '"timeout":"9' + "9" * 5_000 + 's"'],
    "memory_limit": ['"memory_limit":1e400', '"memory_limit":"1e400"', '"memory_limit":-1'],
    "max_log": ['"max_log":1' + "0" * 400, '"max_log":NaN'],
    "grace_period": ['"grace_period":1e400', '"grace_period":-1', '"grace_period":"x"'],
    "priority": ['"priority":1' + "0" * 400, '"priority":1e400'],
    "expires_in": ['"expires_in":1' + "0" * 400],
    "weight": ['"weight":NaN', '"weight":Infinity', '"weight":1e-400'],
    "env": [
        '"env":{"A":"\\u0000"}',
        '"env":{"A":"\\ud800"}',
        '"env":{"A":"' + "x" * 140_000 + '"}',
    ],
    "cwd": ['"cwd":"\\u0000"', '"cwd":"/' + "a" * 5_000 + '"'],
}


@pytest.mark.parametrize("field", JOBS)
def test_fields_of_a_job_are_bounded(place: Place, field: str) -> None:
    for said in JOBS[field]:
        body = ('{"queue":"default","command":["true"],' + said + "}").encode()
        reply = call(place, "POST", "/jobs", place.token(Role.OPERATOR), body)
        assert reply is not None
        assert 400 <= reply.status < 500, (said[:80], reply.body[:500])
        # In words that name the field.
        problem = json.loads(reply.body)
        assert field in problem["detail"] or problem["code"] == "bad_request", problem


QUERIES = (
    "/jobs/{job}/log?offset=9223372036854775807",
    "/jobs/{job}/log?offset=9223372036854775806",
    "/jobs/{job}/log?offset=" + "9" * 4_000,
    "/jobs/{job}/log?attempt=" + "9" * 400,
    "/jobs/{job}/log?stream=\xff",
    "/jobs?limit=" + "9" * 5_000,
    "/jobs?cursor=%00",
    "/jobs?cursor=%ff",
    "/events?follow=false&after=9223372036854775807",
    "/events?follow=false&after=" + "9" * 400,
)


@pytest.mark.parametrize("path", QUERIES)
def test_queries_are_bounded(place: Place, path: str) -> None:
    job = place.stack.run("echo x", queue="honest").id
    for accept in ("*/*", "text/event-stream", "application/x-ndjson", "application/vnd.cri-log"):
        filled = path.replace("{job}", job)
        reply = call(place, "GET", filled, place.token(Role.VIEWER), Accept=accept)
        assert reply is None or reply.status < 500, reply
        assert reply is None or reply.end == "whole", (accept, reply)


@pytest.mark.parametrize("value", ["\xff", "9" * 5_000, "\xb2", "-1", str(2**63)])
def test_headers_are_bounded(place: Place, value: str) -> None:
    token = place.token(Role.OPERATOR)
    job = place.stack.run("echo x", queue="honest").id
    for path in (f"/jobs/{job}/log", "/events?follow=false"):
        for accept in ("text/event-stream", "text/plain", "application/x-ndjson"):
            reply = call(place, "GET", path, token, Last_Event_ID=value, Accept=accept)
            assert reply is None or reply.status < 500, reply
    body = b'{"queue":"default","command":["true"]}'
    reply = call(place, "POST", "/jobs", token, body, Idempotency_Key=value)
    assert reply is None or reply.status < 500


@pytest.mark.parametrize("uses", [str(2**63), "1" + "0" * 400, "1e400", "-1", "0"])
def test_uses_of_a_token_are_bounded(place: Place, uses: str) -> None:
    body = ('{"queues":["default"],"uses":' + uses + "}").encode()
    reply = call(place, "POST", "/registration-tokens", place.stack.admin_token, body)
    assert reply is not None
    assert 400 <= reply.status < 500


# Jobs that an agent cannot take ----------------------------------------------------------------

PATHS = {
    "component of 256 bytes": ["a" * 256],
    "component of 258 bytes in UTF-8": ["界" * 86],
    "deep component": ["a/b/" + "c" * 256],
    "a file that is another's folder": ["a", "a/b"],
    "a folder that is another's file": ["a/b", "a"],
    "the work directory itself": ["."],
    "only slashes": ["./"],
    "twice the same": ["a", "./a"],
    "very deep": ["a/" * 500 + "b"],
    "control characters": ["a\x00b"],
    "surrogate": ["\ud800"],
}


@pytest.mark.parametrize("what", PATHS)
def test_a_job_that_no_host_can_take_ends_with_a_reason(place: Place, what: str) -> None:
    files = [{"path": path, "content": ""} for path in PATHS[what]]
    spec = {"queue": "honest", "command": ["true"], "files": files}
    with place.attacked():
        body = json.dumps(spec).encode()
        reply = call(place, "POST", "/jobs", place.token(Role.OPERATOR), body)
        assert reply is not None
        if reply.status == 201:
            job = place.client.wait(json.loads(reply.body)["id"], 90)
            assert job.state is JobState.SUCCEEDED or job.end_detail
            assert len(place.client.timeline(job.id)) < 20
        else:
            assert reply.status in (400, 422)


# Lists and readers -----------------------------------------------------------------------------


def test_lists_of_large_jobs_stay_small(place: Place) -> None:
    place.client.create_queue(QueueCreate(name="large"))
    script = "#" * (1 << 20)
    for _ in range(24):
        spec = {"queue": "large", "shell": "sh", "script": script, "env": {"A": "b" * 100_000}}
        place.client.submit_batch([JobSpec.model_validate(spec)] * 8)
    token = place.token(Role.VIEWER)
    ask = (
        f"GET /api/v1/jobs?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    with place.attacked(), ExitStack() as held:
        for _ in range(4):
            link = held.enter_context(dial(place.stack.port))
            link.sendall(f"{ask}\r\n".encode() * 4)
        reply = call(place, "GET", "/jobs?limit=1000", token)
        assert reply is not None
        assert reply.status == 200
        assert len(reply.body) < 8 << 20
        page = json.loads(reply.body)
        assert not any(len(item.get("script") or "") > 4_096 for item in page["items"])


@pytest.mark.parametrize("how", ["revoked", "expired"])
@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/events?follow=true", "application/x-ndjson"),
        ("/events?follow=true", "text/event-stream"),
        ("/jobs/{job}/log?follow=true", "text/plain"),
        ("/jobs/{job}/log?follow=true", "application/x-ndjson"),
        ("/jobs/{job}/log?follow=true", "text/event-stream"),
    ],
)
def test_a_stream_ends_with_its_token(place: Place, how: str, path: str, accept: str) -> None:
    client = place.client
    go = place.stack.root / f"end-{how}-{time.monotonic_ns()}"
    script = f"while [ ! -e {go} ]; do echo x; sleep 0.2; done"
    job = place.stack.submit(script, queue="honest").id
    place.stack.reaches(job, JobState.RUNNING)
    try:
        # A token that expires before its stream begins is made again, for longer.
        for lifetime in (1, 5, 25):
            expires = lifetime if how == "expired" else None
            made = client.create_token("watcher", Role.VIEWER, expires=expires)
            with dial(place.stack.port, timeout=40) as link:
                filled = path.replace("{job}", job)
                head = f"GET /api/v1{filled} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n"
                link.sendall(f"{head}Authorization: Bearer {made.token}\r\n\r\n".encode())
                begun = link.recv(65536)
                if expires and begun.startswith(b"HTTP/1.1 401 "):
                    continue
                assert begun.startswith(b"HTTP/1.1 200 ")
                if how == "revoked":
                    client.revoke_token(made.id)
                deadline = time.monotonic() + lifetime + 30
                with contextlib.suppress(ConnectionError):
                    while link.recv(65536):
                        assert time.monotonic() < deadline, "the stream goes on"
                return
        raise AssertionError("every token had expired before its stream began")
    finally:
        go.touch()


# Rights ----------------------------------------------------------------------------------------


def test_idempotency_keys_are_each_users_own(place: Place) -> None:
    one, other = (place.client.create_token(name, Role.OPERATOR).token for name in ("u1", "u2"))
    body = b'{"queue":"default","command":["true"]}'
    ids = []
    for token in (one, other, one):
        reply = call(place, "POST", "/jobs", token, body, Idempotency_Key="the same")
        assert reply is not None
        ids.append(json.loads(reply.body)["id"])
    assert ids[0] == ids[2] != ids[1]


def test_values_of_environments_are_not_for_viewers(place: Place) -> None:
    place.client.create_queue(QueueCreate(name="hushed"))
    spec = {"queue": "hushed", "command": ["true"], "env": {"PASSWORD": "hunter2"}}
    job = place.client.submit(JobSpec.model_validate(spec)).id
    viewer = place.token(Role.VIEWER)
    for path in (f"/jobs/{job}", "/jobs?queue=hushed", f"/jobs/{job}/timeline"):
        reply = call(place, "GET", path, viewer)
        assert reply is not None
        assert reply.status == 200
        assert b"hunter2" not in reply.body
    with Client(place.stack.url, viewer) as client:
        assert client.job(job).submitted_by


def test_readers_that_do_not_read_disturb_nobody(place: Place) -> None:
    client = place.client
    job = place.stack.run("head -c 20000000 /dev/zero | tr '\\0' x | fold -w 100", queue="honest",
                          deadline=120).id  # fmt: skip
    viewer = client.create_token("deaf", Role.VIEWER).token
    paths = [
        (f"/jobs/{job}/log", "text/plain"),
        (f"/jobs/{job}/log", "application/x-ndjson"),
        (f"/jobs/{job}/log?follow=true", "text/event-stream"),
        ("/events?follow=true&after=0", "application/x-ndjson"),
    ]
    # Of 200 readers, each with what waits in its socket's buffer.
    with place.attacked(most_memory=40.0), ExitStack() as held:
        for number in range(200):
            path, accept = paths[number % len(paths)]
            with contextlib.suppress(OSError):
                link = held.enter_context(dial(place.stack.port, f"127.0.1.{number + 1}", 5))
                head = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n"
                link.sendall(f"{head}Authorization: Bearer {viewer}\r\n\r\n".encode())
        place.short()
        # One token does not take all followers.
        with Client(place.stack.url, place.token(Role.VIEWER)) as other:
            followed = sum(len(record.data) for record in other.follow_log(job))
        assert followed >= 20_000_000


def test_an_operator_cannot_let_jobs_vanish(place: Place) -> None:
    with Client(place.stack.url, place.token(Role.OPERATOR)) as operator:
        for change in (
            QueueChange(job_retention=1),
            QueueChange(log_retention=1),
            QueueChange(log_max_total=1),
        ):
            with pytest.raises(ApiError) as refused:
                operator.change_queue("honest", change)
            assert refused.value.status == 403
