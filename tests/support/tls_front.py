"""A server of TLS on loopback before one that speaks plainly: it ends TLS, and passes all on.

with TlsFront(("127.0.0.1", port), cert, key) as front:
    …  front.place
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Self

from tests.support.quiet import Quiet


class TlsFront:
    """Use as a context manager."""

    def __init__(self, target: tuple[str, int], cert: Path, key: Path) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    wire = context.wrap_socket(self.request, server_side=True)
                    with wire, socket.create_connection(target) as server:
                        back = threading.Thread(target=_pass, args=(server, wire), daemon=True)
                        back.start()
                        _pass(wire, server)
                        back.join()

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
    def place(self) -> tuple[str, int]:
        """Its host and port."""
        return "127.0.0.1", self._server.server_address[1]


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for end in (source, target):
        # Both ways end together: TLS has no half of a connection.
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
