"""A TCP server in a thread that gives one scripted answer to every request, by TLS or without.

    with Scripted(http(200, b"{}")) as place:
        …  place.port, place.asked

Loopback only.
"""

from __future__ import annotations

import socket
import ssl
import threading
from email.utils import formatdate
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Self

from tests.support.quiet import Quiet


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP answer with the present date, unless `date` is given (empty: without)."""
    headers.setdefault("date", formatdate(usegmt=True))
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items() if value]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Scripted:
    """Use as a context manager. `asked` holds the head of every request."""

    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        place = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                place._serve(self)

        class Server(Quiet, ThreadingTCPServer):
            daemon_threads = True

        self._tls = tls
        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.server_address[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, handler: Any) -> None:
        wire = handler.connection
        if self._tls is not None:
            wire = self._tls.wrap_socket(wire, server_side=True, do_handshake_on_connect=False)
            try:
                wire.do_handshake()
            except ssl.SSLError:
                # Read on: a reset would take the alert away from whoever is told by it.
                with socket.socket(fileno=wire.detach()) as raw:
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(4096):
                        pass
                return
        with wire:
            head = b""
            while b"\r\n\r\n" not in head and (piece := wire.recv(4096)):
                head += piece
                if not head.startswith((b"GET ", b"CONNECT ")):
                    break
            self.asked.append(head)
            wire.sendall(self.answer)
