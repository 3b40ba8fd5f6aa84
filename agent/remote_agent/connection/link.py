"""The agent's one WebSocket to its server: connect, carry frames, connect again, for ever.

May touch the network and nothing else. It knows nothing of jobs: what comes is handed to a
listener at once, what goes is written at once, in the order of the calls.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)
from websockets.typing import Subprotocol

from remote_agent import backoff
from remote_agent.connection.endpoint import OPEN_TIMEOUT, Endpoint, tls_of
from remote_agent.connection.faults import FailureLog, explain, problem_of
from remote_agent.connection.tunnel import open_tunnel
from remote_agent.errors import IdentityCopied, TokenRefused
from remote_protocol.codec import (
    Chunk,
    decode_from_server,
    decode_input,
    encode,
    make_ready_from_server,
)
from remote_protocol.errors import CloseCode, ErrorCode, RemoteProtocolError
from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_protocol.limits import MAX_SERVER_MESSAGE, SUBPROTOCOL
from remote_protocol.messages import AgentMessage, ServerMessage

log = structlog.get_logger("link")

CLOSE_TIMEOUT: Final = 2.0
PROVEN_AFTER: Final = 30.0
"""A link that lived so long (seconds) counts as a success: the backoff starts anew."""
FENCED_DELAY: Final = (30.0, 60.0)
"""Seconds, uniformly: another agent has this one's identity and the newest wins, so that a fast
retry would only make the two throw each other out."""
UNSENT: Final = 256 * 1024
"""Bytes not yet sent that the kernel may hold: a control message waits for no more."""
_DEFINITIVE: Final = frozenset(
    {ErrorCode.INVALID_TOKEN, ErrorCode.EXPIRED_TOKEN, ErrorCode.WRONG_TOKEN_KIND}
)
"""Refusals that only a person can cure. A 401 without such a code may come from anything that
stands between, and is tried again."""


Connect = Callable[[Endpoint], Awaitable[ClientConnection]]
"""Opens a WebSocket to an endpoint."""


class Listener(Protocol):
    """Who hears of the link. Calls come from the event loop and must not block."""

    def link_opened(self, session: str) -> None:
        """A WebSocket is open; `session` is a new ULID for it."""

    def link_received(self, message: ServerMessage) -> None:
        """A message came. RemoteProtocolError closes the link with the error's code."""

    def link_input(self, chunk: Chunk) -> None:
        """A piece of an input came."""

    def link_closed(self, reason: str) -> None:
        """The link that was opened last is gone."""


class Link:
    """Keeps one WebSocket open. `run` is its loop; everything else may be called at any time."""

    def __init__(
        self,
        endpoint: Endpoint,
        connect: Connect | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        """Replaced by a reload; holds from the next connect on."""
        self._connect = connect or open_websocket
        self._sleep = sleep
        self._socket: ClientConnection | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._failures = FailureLog()
        self._finished = False
        self._heard = False
        self._closed_with: tuple[CloseCode, str] | None = None
        """Why this side closed the present link."""

    @property
    def open(self) -> bool:
        """Whether frames can be written now."""
        return self._socket is not None

    # Out ---------------------------------------------------------------------------------

    def send(self, message: AgentMessage) -> None:
        """Write a message now; without a link it is dropped, the next hello makes up for it."""
        if self._socket is not None:
            # The one way of websockets to write without waiting: messages are few and small.
            broadcast((self._socket,), encode(message))

    def write(self, frame: memoryview) -> bool:
        """Write a binary frame now; False without a link. Follow it by `drain`."""
        if self._socket is None:
            return False
        broadcast((self._socket,), frame)
        return True

    async def drain(self) -> None:
        """Wait until the buffer has room again, so that no message waits for much."""
        if self._socket is not None:
            try:
                await self._socket.drain()
            except OSError:
                return  # the reading side learns of it too, and reports it

    def close(self, code: CloseCode, detail: str) -> None:
        """Close the link; `run` makes a new one after the backoff."""
        if self._socket is not None:
            self._drop(code, detail)

    async def finish(self) -> None:
        """Close the link for good, having sent what was written."""
        self._finished = True
        self._drop(CloseCode.NORMAL, "")
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT + 1)

    def _drop(self, code: CloseCode, detail: str) -> None:
        dying, self._socket = self._socket, None
        if dying is None:
            return
        self._closed_with = (code, detail)
        # RFC 6455 §5.5: a close frame has room for 123 bytes of reason.
        reason = detail.encode()[:120].decode(errors="ignore")
        task = asyncio.ensure_future(dying.close(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # The loop ----------------------------------------------------------------------------

    async def run(self, listener: Listener) -> None:
        """Connect until `finish`. TokenRefused when only a person can help."""
        failures = 0
        while not self._finished:
            try:
                wire = await self._connect(self.endpoint)
            except (OSError, InvalidHandshake, InvalidProxy, InvalidURI, EOFError) as error:
                self._failures.failed(self._explain(error))
                wait = self._delay(failures)
                failures += 1
            else:
                self._failures.over(self.endpoint.place)
                opened = time.monotonic()
                code, reason = await self._serve(wire, listener)
                if self._finished:
                    return
                if time.monotonic() - opened > PROVEN_AFTER:
                    failures = 0
                else:
                    # A server that spoke to us is there: come back within seconds.
                    failures = min(failures + 1, 2) if self._heard else failures + 1
                wait = self._after(code, reason, failures)
            await self._sleep(wait)

    async def _serve(self, wire: ClientConnection, listener: Listener) -> tuple[int | None, str]:
        _keep_kernel_buffer_short(wire)
        self._socket = wire
        self._heard = False
        self._closed_with = None
        try:
            listener.link_opened(make_ulid(time.time_ns() // 1_000_000, _entropy()))
            make_ready_from_server()  # while the server makes its answer
            while self._socket is wire:
                frame = await wire.recv()
                if isinstance(frame, str):
                    listener.link_received(decode_from_server(frame))
                else:
                    listener.link_input(decode_input(frame))
                self._heard = True
        except ConnectionClosed:
            pass
        except RemoteProtocolError as error:
            log.error("the server broke the protocol", detail=str(error))
            self._drop(error.code, str(error))
        finally:
            if self._socket is wire:
                self._socket = None
            code: int | None = wire.close_code
            reason = wire.close_reason or _cause(wire)
            if self._closed_with is not None:
                code, reason = self._closed_with
            listener.link_closed(reason)
        return code, reason

    def _after(self, code: int | None, reason: str, failures: int) -> float:
        """Say what ended the link; seconds to wait before the next one."""
        if code == CloseCode.UNREGISTERED:
            raise TokenRefused(
                f"the server {self.endpoint.place} does not know this agent any more"
                f" ({reason or 'deleted, or its token was revoked'}); register it again"
            )
        if code == CloseCode.COPIED:
            raise IdentityCopied(
                f"another host, or another state directory, is connected to {self.endpoint.place}"
                " with this agent's identity: it was copied. Remove identity.json here, and"
                " register this agent under a name of its own: remote-agent register --name NAME"
            )
        if code == CloseCode.FENCED:
            wait = random.uniform(*FENCED_DELAY)
            log.error(
                "another agent connected with this agent's identity and took over; the newest"
                " wins. Register one of the two hosts under a name of its own",
                retry_in=f"{wait:.0f}s",
            )
            return wait
        # The first retry is quick but still spread: a server's restart throws everybody out.
        wait = self._delay(failures)
        log.warning("link closed", code=code, reason=reason, retry_in=f"{wait:.1f}s")
        return wait

    def _delay(self, failures: int) -> float:
        return backoff.delay(failures, random.random(), self.endpoint.max_wait)

    def _explain(self, error: Exception) -> str:
        """What went wrong and what helps. TokenRefused when nothing but a person does."""
        if isinstance(error, InvalidStatus):
            return self._refused(error)
        return explain(error, self.endpoint)

    def _refused(self, error: InvalidStatus) -> str:
        status = error.response.status_code
        code, detail = problem_of(error.response.body)
        if status in (401, 403) and code in _DEFINITIVE:
            raise TokenRefused(
                f"the server {self.endpoint.place} refused this agent's token:"
                f" {detail or code}. Register the agent again: remote-agent register"
            )
        if code:
            return f"the server {self.endpoint.place} refused the link: {detail or code}"
        if status == 404:
            return (
                f"{self.endpoint.place} answers, but is no remote-server (HTTP 404 at"
                f" {urlsplit(self.endpoint.session_url).path}); check [server] url"
            )
        return f"{self.endpoint.place} answered HTTP {status} instead of opening a WebSocket"


async def open_websocket(endpoint: Endpoint) -> ClientConnection:
    """A WebSocket to the server, through its proxy if it has one. Raises what `explain` knows."""
    options: dict[str, Any] = {}
    if endpoint.session_url.startswith("wss:"):
        options["ssl"] = tls_of(endpoint)
    via = endpoint.via
    if via is not None:
        async with asyncio.timeout(OPEN_TIMEOUT):
            options["sock"] = await open_tunnel(via, *endpoint.address)
    return await connect(
        endpoint.session_url,
        additional_headers={"Authorization": f"Bearer {endpoint.token}"},
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        proxy=None,
        open_timeout=OPEN_TIMEOUT,
        close_timeout=CLOSE_TIMEOUT,
        ping_interval=None,
        max_size=MAX_SERVER_MESSAGE,
        max_queue=64,
        # Drained below the low mark after each chunk: at most one of them is in the way.
        write_limit=(64 * 1024, 32 * 1024),
        **options,
    )


def _keep_kernel_buffer_short(wire: ClientConnection) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    raw = wire.transport.get_extra_info("socket")
    if option is not None and raw is not None:
        try:
            raw.setsockopt(socket.IPPROTO_TCP, option, UNSENT)
        except OSError:
            return  # only a matter of speed


def _cause(wire: ClientConnection) -> str:
    return str(wire.recv_exc) if wire.recv_exc else "the network cut it"


def _entropy() -> bytes:
    return os.urandom(ULID_ENTROPY)
