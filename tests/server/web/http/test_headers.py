"""Headers and bodies that no honest client sends are refused in words, never with a 500."""

from __future__ import annotations

import gzip
import json
from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from remote_server.web.http.headers import (
    came_by_tls,
    header,
    last_event_id,
    require_plain_body,
)
from remote_server.web.http.problems import ApiProblem
from tests.support.live_server import Live

JOBS = b"/api/v1/jobs"
LOG = b"/api/v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/log"


def asked(**headers: str):
    return make_mocked_request("GET", "/", {n.replace("_", "-"): v for n, v in headers.items()})


def test_headers_are_short_and_printable() -> None:
    assert header(asked(), "Accept") is None
    assert header(asked(Accept="text/plain"), "Accept") == "text/plain"
    for wrong in ("x" * 2049, "\udcff", "a\x01", "ключ"):
        request = Mock(headers={"Accept": wrong})
        with pytest.raises(ApiProblem) as caught:
            header(request, "Accept")
        assert caught.value.status == 400
        assert "Accept" in caught.value.detail


def test_last_event_id() -> None:
    assert last_event_id(asked()) is None
    assert last_event_id(asked(Last_Event_ID="")) is None
    assert last_event_id(asked(Last_Event_ID="12")) == 12
    for wrong in ("-1", "x", "1" * 19, "9" * 5000, "1.0"):
        with pytest.raises(ApiProblem):
            last_event_id(asked(Last_Event_ID=wrong))


@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "compress", "identity, gzip", "nonsense"]
)
async def test_compressed_bodies_are_refused_unread(live: Live, coding: str) -> None:
    """A quarter of a megabyte would inflate to 256."""
    body = gzip.compress(b"\0" * (1 << 20))
    for method, path, token in (("GET", "/healthz", ""), ("POST", "/jobs", None)):
        answer = await live.ask(
            method, path, body, token, headers={"Content-Encoding": coding}, skip_auto_headers=()
        )
        assert "uncompressed" in answer.problem(415, "unsupported_encoding")["detail"]
        assert answer.headers["Accept-Encoding"] == "identity"


async def test_no_path_inflates_a_body(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    import aiohttp.http_parser

    def inflated(*_: object) -> None:
        raise AssertionError("a body was inflated")

    monkeypatch.setattr(aiohttp.http_parser.DeflateBuffer, "__init__", inflated)
    body = gzip.compress(b"x" * 1000)
    lines = (b"Content-Encoding: gzip", b"Content-Length: %d" % len(body))
    for target in (b"/nowhere", b"/healthz", JOBS, b"/api/v1/agent/session"):
        for method in (b"GET", b"POST", b"PUT"):
            head = b"\r\n".join((method + b" " + target + b" HTTP/1.1", b"Host: x", *lines))
            answer = await live.raw(head + b"\r\nConnection: close\r\n\r\n" + body)
            assert answer.split(b" ", 2)[1] in (b"415", b"404", b"405"), answer


def test_an_identity_coding_is_none() -> None:
    require_plain_body(asked(Content_Encoding="identity"))
    require_plain_body(asked(Content_Encoding=""))
    require_plain_body(asked())


@pytest.mark.parametrize(
    ("target", "line", "status"),
    [
        (JOBS, b"Authorization: Bearer rpt_\xff", 400),
        (JOBS, b"Authorization: Bearer " + b"x" * 7000, 400),
        (JOBS, b"Authorization: \xff\xfe", 400),
        (b"/metrics", b"Authorization: Bearer rpt_\xff", 400),
        (b"/api/v1/events", b"Accept: \xff", 400),
        (b"/api/v1/events", b"Accept: " + b"a," * 3000, 400),
        (b"/", b"Accept: \xff", 400),
        (b"/", b"Accept: " + b"a," * 3000, 400),
        (b"/", b"Cookie: remote_session=\xff", 303),
        (LOG, b"Accept: \xff", 400),
        (b"/api/v1/events", b"Accept: \xc3", 400),
        (b"/api/v1/events", b"Last-Event-ID: " + b"9" * 5000, 400),
        (b"/api/v1/events", b"Last-Event-ID: \xd9\xa3", 400),
        (b"/api/v1/events?after=" + b"9" * 5000, b"X: y", 422),
        (b"/api/v1/events?after=9223372036854775807", b"X: y", 422),
        (LOG + b"?offset=9223372036854775807", b"X: y", 422),
        (LOG + b"?offset=" + b"9" * 5000, b"X: y", 422),
        (LOG + b"?attempt=18446744073709551616", b"X: y", 422),
        (JOBS + b"?limit=" + b"9" * 4000, b"X: y", 422),
        (JOBS + b"?cursor=%ff", b"X: y", 422),
        (JOBS + b"?queue=%ed%a0%80", b"X: y", 422),
        (JOBS + b"?%ff=%00", b"X: y", 422),
        (JOBS + b"/%ff", b"X: y", 404),
        (JOBS + b"/%ed%a0%80", b"X: y", 404),
        (JOBS + b"/%00", b"X: y", 404),
        (JOBS + b"/" + b"x" * 5000, b"X: y", 404),
        (b"/api/v1/agents/\xc3\x28", b"X: y", 400),
        (b"/api/v1/queues/%F0%9F%92%A9", b"X: y", 404),
        (b"/api/v1/queues?cursor=%ff", b"X: y", 422),
    ],
)
async def test_odd_requests_are_the_clients_fault(
    live: Live, target: bytes, line: bytes, status: int
) -> None:
    with capture_logs() as logs:
        assert await live.head(target, line) == status
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_an_odd_idempotency_key_is_refused(live: Live) -> None:
    for key in (b"\xff", b"x" * 256, b""):
        line = b"Idempotency-Key: " + key
        body = b'{"command":["true"]}'
        length = b"Content-Length: %d" % len(body)
        for target in (JOBS,):
            request = b"\r\n".join(
                (
                    b"POST " + target + b" HTTP/1.1",
                    b"Host: x",
                    b"Connection: close",
                    b"Authorization: Bearer " + live.token.encode(),
                    line,
                    length,
                    b"",
                    body,
                )
            )
            status = (await live.raw(request)).split(b" ", 2)[1]
            assert status in (b"400", b"422"), (key, status)


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "1" + "0" * 5000, "1e400", "-1e400", "NaN", "Infinity", "-1", "1e18"]
)
async def test_numbers_out_of_range_are_named(live: Live, value: str) -> None:
    agent = await live.register("a")
    del agent
    bodies = {
        "/jobs": [
            "timeout",
            "memory_limit",
            "weight",
            "priority",
            "max_attempts",
            "grace_period",
            "expires_in",
            "retry_backoff",
            "max_log",
            "cpu_weight",
        ],
        "/tokens": ["expires"],
        "/registration-tokens": ["uses", "expires"],
        "/queues": ["log_retention", "log_max_total", "job_retention"],
        "/agents/a/drain": ["deadline"],
    }
    others = {"/jobs": '"command":["true"],', "/tokens": '"name":"n",', "/queues": '"name":"n",'}
    for path, fields in bodies.items():
        for field in fields:
            if value == "-1" and field == "priority":
                continue
            body = f'{{{others.get(path, "")}"{field}":{value}}}'
            answer = await live.post(path, body)
            assert answer.status in (400, 422), (path, field, answer.text)


async def test_nothing_nested_or_framed_oddly_is_our_fault(live: Live) -> None:
    deep = "[" * 100_000
    for body in (deep, '{"command":' + deep, b"\xff", b'{"command":["\xed\xa0\x80"]}', "nul"):
        assert (await live.post("/jobs", body)).status in (400, 422)
    assert (await live.post("/jobs", json.dumps({"command": ["\ud800"]}))).status in (400, 422)
    head = (
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
        + live.token.encode()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with capture_logs() as logs:
        for chunks in (b"zz\r\nab", b"2\r\nabc\r\n", b"-1\r\n"):
            assert (await live.raw(head + chunks)).split(b" ", 2)[1] == b"400"
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


def test_a_proxy_may_say_that_its_client_speaks_tls() -> None:
    assert not came_by_tls(asked())
    assert not came_by_tls(asked(X_Forwarded_Proto="http"))
    assert came_by_tls(asked(X_Forwarded_Proto="https"))
