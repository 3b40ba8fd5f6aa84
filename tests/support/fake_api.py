"""A small HTTP server for the client's tests: answers are set by method and path, calls are kept.

    with FakeApi() as server:
        server.on("GET", "/queues/default", {...})
        ...
        server.calls[-1].body

Real sockets, a thread, no state of its own: what it says is what the test told it to say.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.support.quiet import Quiet

TOKEN = "rpt_" + "t" * 43
ID = "01KADVTZ7WFFFFFFFFFFFFFFFF"
NOW = "2026-11-21T05:00:00.000000Z"


@dataclass
class Said:
    """One request that arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    repeated: dict[str, list[str]] = field(default_factory=dict)
    """The query with every value of a parameter."""


@dataclass
class Answer:
    """What to answer: a document, bytes, or a piece of an answer after which the line breaks."""

    content: Any = None
    status: int = 200
    breaks: bool = False
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, code: str, detail: str, **extra: Any) -> Answer:
    """An RFC 9457 answer."""
    document = {"title": code, "status": status, "code": code, "detail": detail, **extra}
    return Answer(document, status)


def job_view(**fields: Any) -> dict[str, Any]:
    """A job as shown."""
    return {"id": ID, "state": "queued", "command": ["true"], "created_at": NOW, **fields}


def cri_log(*records: tuple[str, bytes]) -> bytes:
    """Stored records: stream and data; data without newline is a partial record."""
    stamp = b"2026-11-21T05:00:00.000000000Z"
    return b"".join(
        b"%s %s %s %s\n"
        % (stamp, stream.encode(), b"F" if data.endswith(b"\n") else b"P", data.removesuffix(b"\n"))
        for stream, data in records
    )


class FakeApi:
    """Use as a context manager. An answer that was set last stays; those before it come once.

    Bytes for a log are the whole log, of which the part from the offset on is given.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Said] = []
        self._answers: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        api = self

        class Server(Quiet, ThreadingHTTPServer):
            daemon_threads = True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                api._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                """The calls are kept instead."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def place(self) -> tuple[str, int]:
        """Its host and port."""
        return "127.0.0.1", self._server.server_address[1]

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def on(self, method: str, path: str, *answers: Any) -> None:
        """What to answer, one after the other: Answer, a document, bytes or a function of Said."""
        self._answers[method, path] = deque(answers)

    def said(self, method: str, path: str) -> list[Said]:
        """The requests of one kind."""
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    def _answer(self, wire: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(wire.path)
        path = parts.path.removeprefix("/api/v1")
        raw = wire.rfile.read(int(wire.headers.get("Content-Length") or 0))
        said = Said(
            wire.command,
            path,
            dict(parse_qsl(parts.query)),
            dict(wire.headers),
            _read(raw, wire.headers.get("Content-Type", "")),
            parse_qs(parts.query),
        )
        self.calls.append(said)
        waiting = self._answers[wire.command, path]
        if waiting:
            what = waiting.popleft() if len(waiting) > 1 else waiting[0]
        else:
            what = problem(404, "not_found", f"there is nothing at {path}")
        if isinstance(what, Callable):  # type: ignore[arg-type]
            what = what(said)
        reply = what if isinstance(what, Answer) else Answer(what)
        body, headers = reply.content, dict(reply.headers)
        if not isinstance(body, bytes):
            body = b"" if body is None else json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif reply.status == 200 and path.endswith("/log"):
            offset = int(said.query.get("offset", 0))
            headers.setdefault("Remote-Attempt", said.query.get("attempt", "1"))
            if isinstance(what, bytes):
                body = body[offset:]
            if not reply.breaks:
                headers.setdefault("Remote-Log-Size", str(offset + len(body)))
        wire.send_response(reply.status)
        for name, value in headers.items():
            wire.send_header(name, value)
        wire.send_header("Content-Length", str(len(body) + reply.breaks))
        wire.end_headers()
        wire.wfile.write(body)
        if reply.breaks:
            wire.close_connection = True


def _read(raw: bytes, media: str) -> Any:
    """What a body holds: bytes are kept as they are."""
    if media == "application/octet-stream":
        return raw
    return json.loads(raw) if raw else None
