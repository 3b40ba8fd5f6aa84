"""One loop: the agent's metrics for Prometheus, over HTTP on this host's loopback interface.

Who may read: whoever can connect to that interface, which is every program of this host, jobs
included; what is served are numbers. A page in a browser cannot, because requests must name the
host as loopback. Touches that socket only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from remote_agent.errors import os_words
from remote_protocol.metrics import CONTENT_TYPE, PATHS

log = structlog.get_logger("metrics")

RETRY: Final = 30.0
"""Seconds until an address that is in use is tried again."""
_LONGEST_HEAD: Final = 16 * 1024
_TIMEOUT: Final = 5.0
"""Seconds for one request and its answer."""
_MOST: Final = 16
"""Connections at the same time."""
_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class MetricsEndpoint:
    """Serves what `read` gives, at `listen` (`HOST:PORT` of the loopback interface)."""

    def __init__(self, listen: str, read: Callable[[], str], retry: float = RETRY) -> None:
        self._listen = listen
        self._read = read
        self._retry = retry
        self._connections = 0
        self.port: int | None = None
        """Where it listens; None while it does not."""

    async def run(self) -> None:
        """Listen, until it is cancelled. An address that cannot be had is tried again: metrics
        are no reason for an agent not to work."""
        host, _, port = self._listen.rpartition(":")
        said = False
        while True:
            try:
                server = await asyncio.start_server(
                    self._serve, host.strip("[]"), int(port), limit=_LONGEST_HEAD
                )
            except OSError as error:
                if not said:
                    log.warning(
                        "metrics are not served; trying again. Free that address, or give another"
                        " one: [telemetry] listen",
                        reason=os_words(error, self._listen),
                    )
                said = True
                await asyncio.sleep(self._retry)
                continue
            self.port = server.sockets[0].getsockname()[1]
            log.info("metrics are served", url=f"http://{host}:{self.port}{PATHS[0]}")
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.port = None
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _MOST:
                async with asyncio.timeout(_TIMEOUT):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # its fault: it gets no answer
        finally:
            self._connections -= 1
            with suppress(OSError):
                writer.close()

    def _answer(self, head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        hosts = [
            value.strip().lower()
            for name, _, value in (line.partition(":") for line in lines)
            if name.lower() == "host"
        ]
        if len(hosts) != 1 or _without_port(hosts[0]) not in _OWN_NAMES:
            return _response("403 Forbidden", "ask for 127.0.0.1 or localhost\n", method)
        if path not in PATHS:
            return _response("404 Not Found", f"there is {' and '.join(PATHS)}\n", method)
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "GET it\n", method)
        return _response("200 OK", self._read(), method)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _response(status: str, text: str, method: str) -> bytes:
    body = text.encode()
    kind = CONTENT_TYPE if status.startswith("200") else "text/plain; charset=utf-8"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
