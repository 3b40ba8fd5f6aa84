"""A receiver of webhooks on loopback, in this process: it keeps what comes, and answers as it is
told."""

from __future__ import annotations

import asyncio
import hmac
import ssl
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from remote_protocol.api.webhooks import MESSAGE, AnyMessage

OK = 204


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> AnyMessage:
        return MESSAGE.validate_json(self.body)

    def signed_with(self, secret: str) -> bool:
        """Whether one of its signatures was made with the secret."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = b64decode(secret.removeprefix("whsec_"))
        wanted = "v1," + b64encode(hmac.digest(key, signed, sha256)).decode()
        return wanted in self.headers["webhook-signature"].split(" ")


Manner = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Manner:
    """Answer with a status."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


def closes(request: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    request.close_connection = True


@dataclass
class Receiver:
    """Answers with `manner`; the first requests with those of `first`."""

    manner: Manner = field(default_factory=lambda: status(OK))
    first: list[Manner] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    """Set when those that hang may end."""

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                manner = receiver.first.pop(0) if receiver.first else receiver.manner
                receiver.received.append(Received(self.path, headers, body))
                manner(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/hook"

    def hangs(self, request: BaseHTTPRequestHandler) -> None:
        """Answer nothing until the test is over."""
        self.gate.wait()
        request.close_connection = True

    async def has(self, count: int) -> list[Received]:
        """What came, once it is so much."""
        async with asyncio.timeout(60):
            while len(self.received) < count:
                await asyncio.sleep(0.01)
        return list(self.received)
