"""A small HTTP proxy on loopback: tunnels by CONNECT, forwards plain requests, wants a password.

    with ConnectProxy(("127.0.0.1", port), password="me:secret") as proxy:
        …  proxy.url, proxy.asked

Whatever host is asked for, it connects to one target, or to that of its name in `others`, so that
names which do not exist can be reached through it and only through it.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import threading
from collections.abc import Mapping
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any, Self

from tests.support.quiet import Quiet


class ConnectProxy:
    """Use as a context manager. `asked` holds the first line of every connection."""

    def __init__(
        self,
        target: tuple[str, int],
        password: str | None = None,
        *,
        others: Mapping[str, tuple[str, int]] | None = None,
        port: int = 0,
    ) -> None:
        self.asked: list[str] = []
        self.target = target
        self._others = others or {}
        self.wanted = (
            None if password is None else f"Basic {base64.b64encode(password.encode()).decode()}"
        )
        proxy = self

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                proxy._serve(self)

        class Server(Quiet, ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def place(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Its address without a password."""
        return f"http://{self.place}"

    def _serve(self, wire: Any) -> None:
        head = list(iter(wire.rfile.readline, b"\r\n"))
        if not head or b"" in head:
            return
        self.asked.append(head[0].decode().strip())
        if self.wanted is not None and self.wanted not in _authorization(head):
            wire.wfile.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )
            return
        host = head[0].split()[1].decode().rpartition(":")[0]
        with socket.create_connection(self._others.get(host, self.target)) as server:
            if head[0].startswith(b"CONNECT "):
                wire.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(b"".join(head) + b"\r\n")
            back = threading.Thread(target=_pass, args=(server, wire.connection), daemon=True)
            back.start()
            with contextlib.suppress(OSError), server.makefile("wb", buffering=0) as up:
                shutil.copyfileobj(_Pieces(wire.rfile), up)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()


class _Pieces:
    """Reads whatever has come, instead of waiting for a whole buffer."""

    def __init__(self, file: Any) -> None:
        self.read = file.read1


def _authorization(head: list[bytes]) -> list[str]:
    pairs = (line.decode().split(":", 1) for line in head[1:])
    return [value.strip() for name, value in pairs if name.lower() == "proxy-authorization"]


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
