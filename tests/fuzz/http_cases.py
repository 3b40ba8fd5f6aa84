"""Generated HTTP requests: valid ones from the API's own description, and what spoils them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from hypothesis import strategies as st

from remote_server.web.application import description
from tests.fuzz.jsontext import NASTY_TEXTS, mutated, render
from tests.fuzz.schema import Schemas

TOKENS: Final = ("admin", "admin", "operator", "viewer", "agent", "registration", "revoked")
DELIVERIES: Final = ("whole", "chunked", "cut", "slow")
_LATIN: Final = "latin-1"


@dataclass(frozen=True)
class HttpCase:
    """One request. Texts hold bytes as Latin-1 and may hold placeholders of the ground."""

    method: str
    target: str
    token: str = "admin"
    """A kind of token, a text of one, or "" for none."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delivery: str = "whole"
    """`whole`, in `chunked` coding, `cut` in the middle, or `slow`: begun and left."""

    @property
    def complete(self) -> bool:
        """Whether a server must answer: nothing about the request's framing is wrong."""
        framing = {"content-length", "transfer-encoding", "connection", "upgrade", "expect", "host"}
        tame = all(name.lower() not in framing for name, _ in self.headers)
        return tame and self.delivery in ("whole", "chunked")

    def __repr__(self) -> str:
        parts = [f"method={_short(self.method)}", f"target={_short(self.target)}"]
        parts += [f"token={_short(self.token)}"]
        if self.headers:
            said = ", ".join(f"({_short(a)}, {_short(b)})" for a, b in self.headers)
            parts.append(f"headers=({said},)")
        if self.body:
            parts.append(f"body={_short(self.body)}")
        if self.delivery != "whole":
            parts.append(f"delivery={self.delivery!r}")
        return f"HttpCase({', '.join(parts)})"


def to_json(case: HttpCase) -> dict[str, Any]:
    """A case for a file."""
    return {
        "method": case.method,
        "target": case.target,
        "token": case.token,
        "headers": [list(pair) for pair in case.headers],
        "body": case.body.decode(_LATIN),
        "delivery": case.delivery,
    }


def from_json(value: dict[str, Any]) -> HttpCase:
    """A case from a file."""
    headers = tuple((name, text) for name, text in value["headers"])
    return HttpCase(**{**value, "headers": headers, "body": value["body"].encode(_LATIN)})


def _short(value: str | bytes) -> str:
    """A repr whose length is bounded: runs of one character are written as products."""
    if len(value) <= 200:
        return repr(value)
    half: Any = value[:60], value[-40:]
    return f"<{len(value)}: {half[0]!r}…{half[1]!r}>"


# Strategies ----------------------------------------------------------------------------------

_DOCUMENT: Final = json.loads(description())
_names = st.sampled_from(("default", "fuzz", "fuzz-agent", "new-1", "new-2", "x" * 128))
_queues = st.sampled_from(("default", "fuzz", "new-1", "no-such-queue"))
_SCHEMAS: Final = Schemas(
    _DOCUMENT["components"]["schemas"],
    {
        "queue": _queues,
        "queues": st.lists(_queues, max_size=3),
        "name": _names,
        "agent": _names,
        "content": st.sampled_from(("", "aGk=", "aGk", "\0")),
        "command": st.lists(st.text(max_size=5), max_size=3),
        "env": st.dictionaries(st.sampled_from(("A", "B_1", "a.b", "A=", "")), st.text(max_size=3)),
    },
)
_PATHS: Final = {
    "id": st.sampled_from(("{job}", "{ended}", "{unknown}", "x", "%00", "{ended}%2f..")),
    "name": st.sampled_from(("fuzz-agent", "fuzz", "default", "new-1", "no-such", "%ff", "a%2fb")),
    "attempt": st.sampled_from(
        ("{job}.1", "{ended}.1", "{foreign}.1", "{job}.0", "{job}." + "9" * 30, "x", "%00")
    ),
    "digest": st.sampled_from((hashlib.sha256().hexdigest(), "0" * 64, "A" * 64, "%00", "..%2fx")),
}
_TOKEN_TEXTS: Final = (
    "",
    "rpt_",
    "rpt_\xff",
    "rpt_" + "A" * 5_000,
    "rat_\u00e9",
    "rrt_x y",
    "\xff\xfe",
    "rjt_unknown",
    "rpt_\x01",
)
_ACCEPTS: Final = (
    "\xff",
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.cri-log",
    "*/*;q=x",
    "a" * 4_000,
    "q=9" * 500,
    ",,,;;;",
    "text/*;q=1e400",
    "text/plain;q=nan",
)
_HEADERS: Final = (
    ("Authorization", ("Bearer", "Bearer ", "Basic eDp5", "bearer rpt_\xff", "Bearer \x80")),
    ("Accept", _ACCEPTS),
    ("Idempotency-Key", ("\xff", "", "k", "k" * 5_000, "\t", "a\x7fb")),
    ("Last-Event-ID", ("9" * 5_000, "-1", "\xb2", "1", str(2**63), "x", "1" * 400)),
    ("Content-Type", ("text/plain", "a/b; charset=utf-16", "\xff", "a/b; c=" + "x" * 300)),
    ("Content-Encoding", ("gzip", "deflate", "br", "identity", "gzip, gzip", "\xff", "zstd")),
    ("Content-Length", ("0", "1", "99", "-1", "1e3", "99999999999999999999", "+5", "5, 5")),
    ("Transfer-Encoding", ("chunked", "gzip, chunked", "identity", "chunked, chunked", "\xff")),
    ("Expect", ("100-continue", "200-ok", "\xff")),
    ("Connection", ("close", "keep-alive", "upgrade", "close, \xff")),
    ("Upgrade", ("websocket", "h2c", "\xff")),
    ("Host", ("", "\xff", "a" * 3_000, "x:99999", "[::1")),
    ("Range", ("bytes=0-", "bytes=9-1", "bytes=" + "9" * 400 + "-", "\xff")),
    ("If-None-Match", ("*", "\xff")),
    ("X-Forwarded-For", ("\xff", "1.2.3.4, " * 300)),
    ("Cookie", ("remote_session=\xff", "a=" + "b" * 4_000, ";" * 2_000)),
    ("Relayed-Method", ("GET", "CONNECT", "G" * 3_000, "\xff", "")),
    ("Relayed-Target", ("/", "/../x", "//x/", "http://x/", "/%2e%2e/", "/\xff", "a" * 9_000)),
    ("Relayed-Host", ("x", "\xff")),
    ("Traceparent", ("00-" + "0" * 32, "\xff")),
    ("X-" + "a" * 4_000, ("x",)),
    ("Bad Name", ("x",)),
    ("", ("x",)),
    ("X-Fold", ("a\r\n b", "a\n b", "a\rb", "a\0b")),
)  # fmt: skip
_TARGETS: Final = (
    "/",
    "*",
    "//",
    "/%",
    "/%ff",
    "/\xff",
    "/api/v1/jobs/%2e%2e/%2e%2e/healthz",
    "/api/v1/../../etc/passwd",
    "/api/v1/jobs?" + "a=1&" * 2_000,
    "/api/v1/jobs?limit=1&limit=2&limit[]=3",
    "/api/v1/" + "a" * 7_000,
    "/api/v1/" + "a" * 100_000,
    "http://other.example/healthz",
    "http://[::1/healthz",
    "http://x:99999999/healthz",
    "healthz",
    "",
    "/api/v1/jobs#fragment",
    "/api/v1/jobs;x=1",
    "/api/v1/jobs/\u00a0",
    "/healthz?\xff=\xfe",
    "/api/v1/agent/session",
)
_METHODS: Final = ("HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "GETT", "\xff", "G" * 3_000, "PUT")


@st.composite
def _queries(draw: st.DrawFn, parameters: list[dict[str, Any]]) -> str:
    pairs = []
    for parameter in parameters:
        if not draw(st.booleans()):
            continue
        value = draw(st.one_of(_SCHEMAS.values(parameter["schema"]), st.sampled_from(NASTY_TEXTS)))
        text = json.dumps(value) if isinstance(value, bool | dict | list) else str(value)
        pairs.append(f"{parameter['name']}={quote(text, errors='surrogatepass')}")
    if draw(st.integers(0, 9)) == 0:
        pairs.append(draw(st.sampled_from(("unknown=1", "%ff=1", "limit", "=", "cursor=%00"))))
    return "?" + "&".join(pairs) if pairs else ""


@st.composite
def _bodies(draw: st.DrawFn, schema: dict[str, Any] | None) -> bytes:
    if schema is None:
        return draw(st.sampled_from((b"", b"", b"", b"{}", b"x" * 10_000)))
    text = render(draw(mutated(_SCHEMAS.values(schema))))
    how = draw(st.integers(0, 19))
    if how == 0:
        return draw(st.sampled_from((b"", b"{", b"\xef\xbb\xbf" + text, text[:-1], text + b"x")))
    if how == 1:
        return draw(st.sampled_from((gzip.compress(text), zlib.compress(text))))
    if how == 2:
        return text.decode("utf-8", "replace").encode(draw(st.sampled_from(("utf-16", "utf-32"))))
    return text


@st.composite
def _odd_headers(draw: st.DrawFn, described: list[str]) -> tuple[tuple[str, str], ...]:
    found = []
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2)))):
        name, texts = draw(st.sampled_from(_HEADERS))
        found.append((name, draw(st.sampled_from(texts))))
    for name in described:
        if draw(st.booleans()):
            texts = next((texts for known, texts in _HEADERS if known == name), ("\xff",))
            found.append((name, draw(st.sampled_from(texts))))
    if draw(st.integers(0, 30)) == 0:
        found += [(f"X-{number}", "v") for number in range(draw(st.sampled_from((100, 2_000))))]
    return tuple(found)


def _operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in _DOCUMENT["paths"].items()
        for method, operation in methods.items()
    ]


@st.composite
def http_cases(draw: st.DrawFn) -> HttpCase:
    """Any request: mostly to calls that exist."""
    method, path, operation = draw(st.sampled_from(_operations()))
    parameters = operation.get("parameters", [])
    target = re.sub(r"\{(\w+)\}", lambda match: draw(_PATHS[match[1]]), path)
    target += draw(_queries([p for p in parameters if p["in"] == "query"]))
    described = [p["name"] for p in parameters if p["in"] == "header"]
    headers = draw(_odd_headers(described))
    content = operation.get("requestBody", {}).get("content", {})
    json_body = content.get("application/json")
    body = draw(_bodies(json_body["schema"] if json_body else None))
    token = draw(st.sampled_from(TOKENS))
    odd = draw(st.integers(0, 29))
    if odd == 0:
        method = draw(st.sampled_from(_METHODS))
    elif odd == 1:
        target = draw(st.sampled_from(_TARGETS))
    elif odd in (2, 3):
        token = draw(st.sampled_from(_TOKEN_TEXTS))
    delivery = draw(st.sampled_from(("whole",) * 8 + DELIVERIES))
    return HttpCase(method, target, token, headers, body, delivery)
