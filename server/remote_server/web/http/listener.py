"""Listens and accepts: every connection is counted before anything is read from it.

asyncio's own accepting writes a line for each failed accept, thousands a second when no file can be
opened, and knows no bound. Opens sockets.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from remote_server.networks import network
from remote_server.setting_values import Address
from remote_server.throttle import Throttle
from remote_server.web.http.connections import Connections

_BACKLOG: Final = 4096
_TURN: Final = 16
"""Connections that are accepted without letting others run."""
_HANDSHAKE: Final = 10.0
_FULL: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.1
_log = structlog.get_logger("remote_server.web")


class Listener:
    """The listening sockets of one server."""

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        connections: Connections,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._make = make
        self._connections = connections
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: OrderedDict[asyncio.Task[None], str] = OrderedDict()
        self._throttle = Throttle(10.0)

    async def open(self, wanted: Address) -> Address:
        """Listen; the address of the first socket. OSError when that is not possible."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            wanted.host,
            wanted.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        failed: OSError | None = None
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                self._sockets.append(_bound(family, kind, protocol, address))
            except OSError as error:
                failed = error
        if failed is not None and (not self._sockets or failed.errno == errno.EADDRINUSE):
            self._close_sockets()
            raise failed
        for listening in self._sockets:
            task = loop.create_task(self._accept(listening), name="accept")
            self._tasks.append(task)
        host, port = self._sockets[0].getsockname()[:2]
        return Address(host, port)

    async def close(self) -> None:
        """Accept no more."""
        tasks = [*self._tasks, *self._starting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            try:
                wire, peer = await loop.sock_accept(listening)
            except OSError as error:
                # A client that has gone already is no reason to wait.
                if error.errno in _FULL:
                    self._say("no file can be opened for a new connection", error)
                    self._connections.relieve()
                await asyncio.sleep(_PAUSE)
                continue
            self._begin(wire, peer)
            turn += 1
            if turn % _TURN == 0:
                await asyncio.sleep(0)

    def _begin(self, wire: socket.socket, peer: Any) -> None:
        place = network(peer[0]) if isinstance(peer, tuple) else ""
        starting, allowed = self._starting, self._connections.allowed
        if len(starting) >= allowed.anonymous:
            next(iter(starting)).cancel()
        elif place and self._tls is not None:
            own = [task for task, other in starting.items() if other == place]
            if len(own) >= allowed.each_address:
                own[0].cancel()
        task = asyncio.get_running_loop().create_task(self._start(wire))
        starting[task] = place
        task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._starting.pop(task, None)

    async def _start(self, wire: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        options = {} if self._tls is None else {"ssl_handshake_timeout": _HANDSHAKE}
        try:
            await loop.connect_accepted_socket(self._make, wire, ssl=self._tls, **options)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            # Scanners and browsers that distrust the certificate; nothing to look after.
            _log.debug("no TLS", reason=str(error))
            wire.close()
        except asyncio.CancelledError:
            wire.close()
            raise

    def _say(self, what: str, error: OSError) -> None:
        more = self._throttle.take(what, time.monotonic())
        if more is not None:
            _log.warning(
                what,
                reason=error.strerror,
                cure="raise the limit of open files (LimitNOFILE= of the service)",
                **({"like_it_since": more} if more else {}),
            )


def _bound(family: int, kind: int, protocol: int, address: Any) -> socket.socket:
    listening = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            with suppress(OSError, AttributeError):
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening
