"""A reverse proxy that speaks HTTP/1.0 to the server, and hides when the server was cut off.

    with OldProxy(("127.0.0.1", port), chunked=True, cut=lambda path: 100) as proxy:
        …  proxy.url

HTTP/1.0 has no chunks: a body ends where the connection ends. So the proxy takes a cut for an end,
and passes it on in good order, with a last chunk when `chunked`, else by closing. That is what
common proxies do by default. `cut` says after how many bytes of a body the server's side is cut,
None for never. Loopback only.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Self

from tests.support.quiet import Quiet


class OldProxy:
    """Use as a context manager. `cuts` counts the bodies that were cut."""

    def __init__(
        self,
        target: tuple[str, int],
        *,
        chunked: bool = False,
        cut: Callable[[str], int | None] = lambda path: None,
    ) -> None:
        self.cuts = 0
        self._target = target
        self._chunked = chunked
        self._cut = cut
        proxy = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                proxy._serve(self)

        class Server(Quiet, ThreadingTCPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _serve(self, wire: Any) -> None:
        first = wire.rfile.readline().decode()
        if not first:
            return
        method, path, _ = first.split()
        head = list(iter(wire.rfile.readline, b"\r\n"))
        sizes = [line for line in head if line.lower().startswith(b"content-length:")]
        body = wire.rfile.read(int(sizes[0].split(b":")[1])) if sizes else b""
        kept = [line for line in head if not line.lower().startswith(b"connection:")]
        with socket.create_connection(self._target) as server:
            server.sendall(
                f"{method} {path} HTTP/1.0\r\n".encode() + b"".join(kept) + b"\r\n" + body
            )
            with server.makefile("rb") as answer:
                self._pass(answer, wire.wfile, self._cut(path))

    def _pass(self, answer: Any, client: Any, cut: int | None) -> None:
        status = answer.readline().split(b" ", 1)[1]
        head = list(iter(answer.readline, b"\r\n"))
        framing = (b"content-length:", b"transfer-encoding:", b"connection:")
        kept = [line for line in head if not line.lower().startswith(framing)]
        how = b"Transfer-Encoding: chunked\r\n" if self._chunked else b""
        head_now = b"HTTP/1.1 " + status + b"".join(kept) + how + b"Connection: close\r\n\r\n"
        client.write(head_now)
        while piece := answer.read1(65536 if cut is None else min(cut, 65536)):
            client.write(b"%x\r\n%s\r\n" % (len(piece), piece) if self._chunked else piece)
            if cut is not None:
                cut -= len(piece)
                if not cut:
                    break
        self.cuts += cut == 0
        if self._chunked:
            client.write(b"0\r\n\r\n")
