"""One HTTP connection: aiohttp's protocol with bounds on heads, and quiet about what is malformed.

aiohttp bounds a header line and the number of lines, not a head as a whole, and writes a traceback
for every malformed request. It keeps a request, its head and the tasks that answer it for as long
as a WebSocket of it is open: `carry` gives the socket to a task that needs none of that. And on
Python 3.11 it answers each request in a task of its own: here the connection's task does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import structlog
from aiohttp import web

from remote_protocol.errors import ErrorCode
from remote_server.web.http.connections import Connections, PeerKind
from remote_server.web.http.problems import SECURITY_HEADERS, ApiProblem

MAX_HEAD: Final = 32 * 1024
"""Bytes of a request's head, and of requests that are sent before the last one is answered."""
KEEP_ALIVE: Final = 75.0
"""Seconds that a client's idle connection is kept: longer than proxies keep theirs (60)."""
_LINGER: Final = 5.0
_NO_REQUESTS: Final[Any] = ()
_IN_TASKS: Final = sys.version_info < (3, 12)
"""aiohttp answers each request in a task that begins in the next turn of the loop."""
_Answering = Coroutine[Any, Any, tuple[web.StreamResponse, bool]]
_log = structlog.get_logger("remote_server.web")
_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    # Nothing is inflated, also where no call looks at the body.
    "auto_decompress": False,
    "keepalive_timeout": KEEP_ALIVE,
    "lingering_time": _LINGER,
    "max_headers": 64,
}
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class _RequestLoop:
    """The event loop, as aiohttp uses it for the requests of a connection: what it would make a
    task of for one request is awaited by the connection's own task, which waits for it anyway. A
    task costs two turns of the loop more. From Python 3.12 on aiohttp begins them at once."""

    __slots__ = ("call_at", "create_future", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_at = loop.call_at
        self.create_future = loop.create_future
        self.time = loop.time

    def create_task(self, work: _Answering) -> _Answering:
        """The work itself."""
        return work


class Connection(web.RequestHandler):
    """One connection, counted by `connections`."""

    __slots__ = (
        "_carrier",
        "_connections",
        "_head",
        "_payload",
        "_wire",
        "address",
        "bytes_left",
        "kind",
        "since",
        "stream",
        "stuck_since",
    )

    def __init__(
        self, connections: Connections, manager: Any, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(manager, loop=loop, **_OPTIONS)
        self._connections = connections
        self._head = 0
        self._payload: Any = None
        self._wire: asyncio.Transport | None = None
        self._carrier: asyncio.Task[None] | None = None
        self.address = ""
        self.kind = PeerKind.ANONYMOUS
        self.since = 0.0
        self.stuck_since: float | None = None
        self.bytes_left: int | None = None
        """Bytes that may still come after the upgrade; None: without a bound."""
        self.stream: asyncio.Task[Any] | None = None
        """What sends a long answer; it ends with the connection."""

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self._current_request is None

    @property
    def requests(self) -> int:
        """Requests that have come."""
        return self._request_count

    @property
    def unread(self) -> int | None:
        """Bytes that wait for a reader that is slow; None: nothing waits. 0: it is closing."""
        wire = self._wire
        if wire is None:
            return None
        if wire.is_closing():
            return 0
        return wire.get_write_buffer_size() if self.writing_paused else None

    def abort(self) -> None:
        """Close it at once, whatever was not sent yet."""
        if self._wire is not None:
            self._wire.abort()

    def carry(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` have the connection, which was upgraded, until it ends. For aiohttp it is one
        on which no request is read or answered any more, so that nothing of the last one stays."""
        self._force_close = True
        self._parser = None
        self._loop = asyncio.get_running_loop()
        # aiohttp's deque of requests, whose first block takes 700 bytes, is not used again.
        self._messages = _NO_REQUESTS
        self._payload = None
        if self._task_handler is not None:
            self._task_handler.add_done_callback(self._requests_over)
        self._carrier = asyncio.ensure_future(work)
        self._carrier.add_done_callback(self._carried)

    def _requests_over(self, _: asyncio.Task[None]) -> None:
        self._task_handler = None

    def _carried(self, task: asyncio.Task[None]) -> None:
        self._carrier = None
        if self._wire is not None:
            self._wire.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a link ended by a mistake of the server", exc_info=error)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """The server stops: what is carried has this time to end."""
        if self._carrier is not None:
            _, late = await asyncio.wait([self._carrier], timeout=timeout)
            for task in late:
                task.cancel()
        await super().shutdown(timeout)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._wire = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        self._connections.opened(self)
        super().connection_made(transport)
        if _IN_TASKS:
            # What is a task of the connection itself was made just now.
            self._loop = _RequestLoop(self._loop)  # type: ignore[assignment]

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone, and with it whatever was made for it."""
        self._connections.closed(self)
        self._wire = None
        super().connection_lost(exc)
        if self.stream is not None:
            self.stream.cancel()
            self.stream = None

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._upgraded:
            if self.bytes_left is not None:
                self.bytes_left -= len(data)
                if self.bytes_left < 0:
                    self._connections.malformed("more came than a probe may send", self.address)
                    self.abort()
                    return
            if self._carrier is None:
                super().data_received(data)
            elif self._payload_parser is not None and not self._close:
                # What follows a frame that is none is not read. The connection stays open for the
                # word that says why.
                self._close, _ = self._payload_parser.feed_data(data)
            return
        before = self._request_count
        between = self._payload is None or self._payload.is_eof()
        super().data_received(data)
        if self._request_count != before and self._messages:
            self._head = 0
            self._payload = self._messages[-1][1]
        elif between:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse_head()

    def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> _Answering:
        answering = super()._handle_request(request, start_time, request_handler)
        # Of many requests that have come at once none may wait for anything: others have their turn
        # between two of them.
        return _after_others(answering) if self._messages else answering

    def _refuse_head(self) -> None:
        self._connections.malformed("the head of a request is too large", self.address)
        if self._wire is not None and not self._wire.is_closing():
            if self.idle:
                self._wire.write(_TOO_LARGE)
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no request, or failed outside every call."""
        if isinstance(exc, ConnectionError):
            # The client left before the interim answer to its Expect: nobody's fault.
            raise exc
        if isinstance(exc, UnicodeError):
            # aiohttp cites an Expect header that it does not know, and cannot when it is no text.
            status, message = 400, "a header is no text"
        if status >= 500:
            self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
        else:
            reason = (message or "no request").strip().split("\n")[0][:100]
            self._connections.malformed(reason, self.address)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status >= 500:
            problem = ApiProblem(
                ErrorCode.INTERNAL, "the server made a mistake; its log says more. Please report it"
            )
        else:
            problem = ApiProblem(ErrorCode.BAD_REQUEST, "this is no HTTP request that can be read")
        response = problem.response()
        response.headers.update(SECURITY_HEADERS)
        response.force_close()
        return response


async def _after_others(answering: _Answering) -> tuple[web.StreamResponse, bool]:
    await asyncio.sleep(0)
    return await answering
