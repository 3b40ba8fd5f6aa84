"""Inputs that have broken the server once. Each is played in every run of the tests."""

from __future__ import annotations

import gzip
import json
from typing import Final

from tests.fuzz.http_cases import HttpCase
from tests.fuzz.link_cases import HELLO, LinkCase, Step, many, say

_JOB: Final = b'{"queue": "fuzz", "command": ["true"]%s}'
_DIGITS: Final = b"9" * 5_000
_INFLATING: Final = gzip.compress(b" " * (1 << 27))


def _job(more: bytes) -> HttpCase:
    return HttpCase("POST", "/api/v1/jobs", "operator", body=_JOB % (b", " + more))


REQUESTS: Final = (
    # 500 where the caller was wrong.
    HttpCase("GET", "/api/v1/jobs", "rpt_\xff"),
    HttpCase("GET", "/metrics", "rpt_\xff"),
    HttpCase("GET", "/", "", (("Accept", "\xff"),)),
    HttpCase("GET", "/api/v1/jobs/{ended}/log", "viewer", (("Accept", "\xff"),)),
    HttpCase("GET", "/api/v1/events?follow=false", "viewer", (("Accept", "\xff"),)),
    HttpCase("POST", "/api/v1/jobs", "operator", (("Idempotency-Key", "\xff"),), _JOB % b""),
    HttpCase("POST", "/api/v1/jobs/{job}/retry", "operator", (("Idempotency-Key", "\xff"),)),
    HttpCase("GET", "/api/v1/events", "viewer", (("Last-Event-ID", "9" * 5_000),)),
    HttpCase("GET", "/api/v1/jobs/{ended}/log", "viewer", (("Last-Event-ID", "9" * 5_000),)),
    HttpCase("GET", "/api/v1/jobs/{ended}/log", "viewer", (("Last-Event-ID", "\xb2"),)),
    HttpCase("GET", f"/api/v1/jobs/{{ended}}/log?offset={2**63 - 1}", "viewer"),
    HttpCase("GET", f"/api/v1/jobs/{{ended}}/log?offset={2**63}", "viewer"),
    HttpCase("GET", f"/api/v1/jobs/{{ended}}/log?offset={'9' * 4_000}", "viewer"),
    HttpCase("GET", f"/api/v1/jobs/{{ended}}/log?attempt={'9' * 400}", "viewer"),
    HttpCase("GET", f"/api/v1/events?after={2**63 - 1}&follow=false", "viewer"),
    _job(b'"timeout": 1' + b"0" * 400),
    _job(b'"timeout": "1' + b"0" * 400 + b's"'),
    _job(b'"grace_period": ' + _DIGITS),
    _job(b'"memory_limit": 1e400'),
    _job(b'"memory_limit": "1e400"'),
    _job(b'"max_log": "' + _DIGITS + b'GB"'),
    _job(b'"retry_backoff": NaN'),
    _job(b'"weight": -Infinity'),
    _job(b'"name": "\\ud800"'),
    _job(b'"env": {"A": "\\u0000"}'),
    _job(b'"cwd": "\\u0000"'),
    _job(b'"unknown": ' + b"[" * 50_000),
    HttpCase(
        "POST",
        "/api/v1/registration-tokens",
        body=b'{"uses": %d, "queues": ["fuzz"]}' % 2**63,
    ),
    HttpCase(
        "POST",
        "/api/v1/registration-tokens",
        body=b'{"uses": 1' + b"0" * 400 + b"}",
    ),
    HttpCase("POST", "/api/v1/tokens", body=b'{"name": "x", "expires": 1' + b"0" * 400 + b"}"),
    HttpCase("POST", "/api/v1/queues", body=b'{"name": "q", "log_max_total": 1e400}'),
    HttpCase("POST", "/api/v1/agents/fuzz-agent/drain", body=b'{"deadline": "1e400s"}'),
    HttpCase(
        "POST",
        "/api/v1/agent/register",
        "registration",
        body=json.dumps(
            {
                "name": "fuzz-agent",
                "replace": True,
                "settings": {"labels": {f"k{n}": "v" for n in range(65)}},
            }
        ).encode(),
    ),
    HttpCase("GET", "/readyz", "", (("Expect", "\xff"),)),
    HttpCase("GET", "/no/such", "", (("Expect", "\xff"),)),
    # Work without an end for one request.
    HttpCase("GET", "/healthz", "", (("Content-Encoding", "gzip"),), _INFLATING),
    HttpCase("POST", "/api/v1/jobs", "", (("Content-Encoding", "gzip"),), _INFLATING),
    HttpCase("POST", "/api/v1/jobs", "operator", (("Content-Encoding", "deflate"),), b"x\x9c"),
    HttpCase(
        "POST",
        "/api/v1/jobs",
        "operator",
        body=_JOB % b"".join(b', "u%d": 0' % n for n in range(20_000)),
    ),
    HttpCase(
        "POST",
        "/api/v1/jobs",
        "operator",
        body=_JOB % (b', "env": {' + b",".join(b'"%d=": ""' % n for n in range(40_000)) + b"}"),
    ),
    HttpCase(
        "POST",
        "/api/v1/jobs/batch",
        "operator",
        body=b'{"jobs": [' + b",".join([b"{" + b'"a":0,' * 50 + b'"b":0}'] * 1_000) + b"]}",
    ),
    # What an agent cannot make must not come to it.
    _job(b'"files": [{"path": "' + b"a" * 256 + b'", "content": ""}]'),
    _job(b'"files": [{"path": "%s", "content": ""}]' % ("界" * 90).encode()),
)  # fmt: skip
"""HTTP requests."""


def _hello(**fields: object) -> Step:
    return say({**HELLO, **fields})


_LISTEN: Final = Step("listen")
_TAKE: Final = Step("take")
_OWN: Final = {"attempt": "{own}.1"}

CONVERSATIONS: Final = (
    # A hello that is stored, and comes back.
    LinkCase(0, (_hello(settings={"queues": [f"q{n}" for n in range(20_000)]}), _LISTEN)),
    LinkCase(0, (_hello(settings={"queues": many(b'"q1"', 500_000)}), _LISTEN)),
    LinkCase(0, (_hello(settings={"labels": {f"k{n}": "v" for n in range(65)}}), _LISTEN)),
    LinkCase(0, (_hello(settings={"labels": {f"k{n}": "v" for n in range(50_000)}}), _LISTEN)),
    LinkCase(0, (_hello(settings={"capacity": {f"c{n}": 1 for n in range(50_000)}}), _LISTEN)),
    LinkCase(
        1,
        (
            _hello(inventory=many(b'{"attempt":"{unknown}.1","phase":"running"}', 20_000)),
            _LISTEN,
        ),
    ),
    LinkCase(1, (_hello(), *[_hello()] * 60, _LISTEN)),
    # Numbers that no column takes.
    LinkCase(2, (_hello(), say({"type": "heartbeat", "seq": 1, "spool_bytes": 10**400}), _LISTEN)),
    LinkCase(2, (_hello(), say({"type": "heartbeat", "seq": 1, "spool_bytes": -5}), _LISTEN)),
    LinkCase(2, (_hello(), say({"type": "heartbeat", "seq": 10**400, "running": 2**63}), _LISTEN)),
    LinkCase(2, (_hello(oldest=-(10**400), newest=10**400), _LISTEN)),
    LinkCase(2, (_hello(boot_id="\0"), _LISTEN)),
    # Logs that are not there.
    LinkCase(
        3,
        (_hello(), _LISTEN, _TAKE, say({"type": "missing", **_OWN, "offset": 60 << 30}), _LISTEN),
    ),
    LinkCase(
        3,
        (
            _hello(),
            _LISTEN,
            _TAKE,
            say({"type": "ended", **_OWN, "end_reason": "exit", "exit_code": 0, "size": 60 << 30,
                 "checksum": 0, "ended_at": 0}),
            _LISTEN,
            say({"type": "missing", **_OWN, "offset": 60 << 30}),
            _LISTEN,
        ),
    ),
    LinkCase(4, (_hello(), _LISTEN, _TAKE, Step("chunk", b"x" * 100, offset=2**63 - 1), _LISTEN)),
    LinkCase(4, (_hello(), Step("chunk", b"x", job="{foreign}"), _LISTEN)),
    # Half a frame: the server waits for the rest, as long as for any word.
    LinkCase(4, (_hello(), _LISTEN, _TAKE, Step("raw", b"\x81"))),
    # Outputs of all sizes, and none that are allowed.
    *(
        LinkCase(
            3,
            (
                _hello(),
                _LISTEN,
                _TAKE,
                say({"type": "ended", **_OWN, "end_reason": "exit", "exit_code": 0, "size": 0,
                     "checksum": 0, "ended_at": 0, "outputs": outputs, "outputs_warning": "\0"}),
                _LISTEN,
            ),
        )
        for outputs in (
            {"a": "\ud800"},
            {"a": "\0"},
            {"": ""},
            {f"k{n}": "" for n in range(20_000)},
            {"a": "x" * 200_000},
            {f"k{n}": "\u00fc" * 8_000 for n in range(5)},
            {"a": "x" * 32_768, "b": "\n" * 32_766},
            [1],
        )
    ),
    # Floods.
    LinkCase(5, (_hello(), say({"type": "heartbeat", "seq": 1}, 5_000), _LISTEN)),
    LinkCase(5, (Step("frame", b" " * (1 << 18), opcode=1, fin=False, times=15),)),
)  # fmt: skip
"""Agents' sides of a link."""
