"""A program that only the server reaches, on loopback in this process: what relays lead to.

It says which requests came, and answers everything, so that what should not have come is seen.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class BehindRelay:
    """The program. `hold` keeps requests for paths that end in `hang` waiting until `let_go`."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.hanging = threading.Semaphore(0)
        """Released for each request that has begun to wait."""
        self.waiting = 0
        self.open: set[socket.socket] = set()
        self._go = threading.Event()
        behind = self

        class Handler(_Handler):
            program = behind

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; asked for twice, too."""
        self._go.set()
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        for wire in list(self.open):
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()

    def let_go(self) -> None:
        """Answer what waits, and all that comes."""
        self._go.set()

    def wait(self) -> None:
        """In a request's thread: until `let_go`."""
        self.waiting += 1
        self.hanging.release()
        self._go.wait(60)

    @property
    def targets(self) -> list[str]:
        """What was asked for."""
        return [one.target for one in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    program: BehindRelay

    def setup(self) -> None:
        super().setup()
        self.program.open.add(self.request)

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        self.program.open.discard(self.request)
        with suppress(OSError):
            super().finish()

    def _answer(self) -> None:
        try:
            body = self._body()
        except OSError:
            self.close_connection = True
            return
        self.program.asked.append(Asked(self.command, self.path, dict(self.headers), body))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path.endswith("/hang"):
            self.program.wait()
        status = int(query.get("status", "200"))
        if "size" in query:
            self._large(int(query["size"]))
            return
        said = body or f"{self.command} {self.path}".encode()
        self.send_response(status)
        self.send_header("X-Own", "passes")
        self.send_header("Set-Cookie", "session=never")
        self.send_header("Keep-Alive", "timeout=5")
        if status in (301, 302, 307):
            self.send_header("Location", f"{self.program.url}/elsewhere")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            with suppress(OSError):  # who asked may have left
                self.wfile.write(said)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            whole = bytearray()
            while size := int(self.rfile.readline() or b"0", 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            if not self.rfile.readline():
                raise ConnectionError("cut within a body")
            return bytes(whole)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _large(self, size: int) -> None:
        """In chunks, so that nobody knows before how much it is."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        piece = b"x" * 65536
        try:
            while size:
                part = piece[:size]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                size -= len(part)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
