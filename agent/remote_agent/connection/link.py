"""The agent's one WebSocket to its server: connect, carry frames, connect again, for ever.

Touches nothing but its ports. It knows nothing of jobs: what comes is handed to a listener at
once, what goes is written in the order of the calls. Messages of one turn of the loop leave
together at its end: one frame, one mask, one write.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

import structlog
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
)

from remote_agent import backoff
from remote_agent.connection.endpoint import Endpoint
from remote_agent.connection.faults import FailureLog, explain, problem_of
from remote_agent.connection.websocket import CLOSE_TIMEOUT, open_websocket
from remote_agent.errors import IdentityCopied, TokenRefused
from remote_protocol.codec import (
    Chunk,
    ContentChunk,
    Written,
    decode_from_server,
    decode_input,
    make_ready_from_server,
    messages_of,
    next_frame,
)
from remote_protocol.errors import CloseCode, ErrorCode, RemoteProtocolError
from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_protocol.messages import AgentMessage, ServerMessage

log = structlog.get_logger("link")

PROVEN_AFTER: Final = 30.0
"""A link that lived so long (seconds) counts as a success: the backoff starts again."""
FENCED_DELAY: Final = (30.0, 60.0)
"""Seconds, uniformly: another agent has this one's identity and the newest wins, so that a fast
retry would only make the two throw each other out."""
_DEFINITIVE: Final = frozenset(
    {ErrorCode.INVALID_TOKEN, ErrorCode.EXPIRED_TOKEN, ErrorCode.WRONG_TOKEN_KIND}
)
"""Refusals that only a person can cure. A 401 without such a code may come from anything that
stands between, and is tried again."""


class WebSocket(Protocol):
    """An open WebSocket to the server (`websocket.ServerSocket`)."""

    @property
    def close_code(self) -> int | None:
        """Why it was closed; None: it was not, or nobody said so."""

    @property
    def close_reason(self) -> str | None:
        """The same in words."""

    @property
    def fault(self) -> str:
        """What ended it when no peer closed it."""

    async def recv(self) -> str | bytes:
        """The next frame. ConnectionClosed when there is none any more."""

    def write(self, frame: str | memoryview) -> None:
        """Put a frame behind those that leave with the next `flush`."""

    def flush(self) -> None:
        """Send what was written, without waiting."""

    async def drain(self) -> None:
        """Wait until what was written has room. OSError."""

    async def close(self, code: int, reason: str) -> None:
        """Say why, and close it."""


def _soon(call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(call)


class LinkPorts(NamedTuple):
    """What a link needs of the machine."""

    connect: Callable[[Endpoint], Awaitable[WebSocket]] = open_websocket
    """Opens a WebSocket; raises what `faults.explain` knows."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    soon: Callable[[Callable[[], None]], object] = _soon
    """Calls at the end of this turn of the loop."""
    clock: Callable[[], float] = time.monotonic
    """Seconds that only grow."""
    wall: Callable[[], float] = time.time
    """Unix seconds."""
    random: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
    entropy: Callable[[int], bytes] = os.urandom
    """So many random bytes."""


_MACHINE: Final = LinkPorts()


class Listener(Protocol):
    """Who hears of the link. Calls come from the event loop and must not block."""

    def link_opened(self, session: str) -> None:
        """A WebSocket is open; `session` is a new ULID for it."""

    def link_received(self, message: ServerMessage) -> None:
        """A message came. RemoteProtocolError closes the link with the error's code."""

    def link_input(self, chunk: Chunk | ContentChunk) -> None:
        """A piece of an input or of a content came."""

    def link_closed(self, reason: str) -> None:
        """The link that was opened last is gone."""


class Link:
    """Keeps one WebSocket open. `run` is its loop; everything else may be called at any time."""

    def __init__(self, endpoint: Endpoint, ports: LinkPorts = _MACHINE) -> None:
        self.endpoint = endpoint
        """Replaced by a reload; holds from the next connect on."""
        self._ports = ports
        self._socket: WebSocket | None = None
        self._waiting: deque[AgentMessage | Written] = deque()
        """Said in this turn of the loop."""
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

    @property
    def failure(self) -> str:
        """Why the server cannot be reached; empty while it can, or before the first try."""
        return self._failures.reason

    # Out ---------------------------------------------------------------------------------

    def send(self, message: AgentMessage | Written) -> None:
        """Write a message in this turn of the loop; without a link it is dropped, the next hello
        makes up for it."""
        if self._socket is not None:
            if not self._waiting:
                self._ports.soon(self._flush)
            self._waiting.append(message)

    def _flush(self) -> None:
        if self._socket is not None:
            self._put(self._socket)
            self._socket.flush()

    def _put(self, wire: WebSocket) -> None:
        while self._waiting:
            wire.write(next_frame(self._waiting))

    def write(self, frame: memoryview) -> bool:
        """Write a binary frame; False without a link. Follow it by `drain`: until then it waits, so
        that what is said about it meanwhile leaves with it."""
        if self._socket is None:
            return False
        self._put(self._socket)
        self._socket.write(frame)
        return True

    async def drain(self) -> None:
        """Wait until the buffer has room again, so that no message waits for much."""
        if self._socket is not None:
            self._flush()
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
        self._flush()
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
        failures, ports = 0, self._ports
        while not self._finished:
            try:
                wire = await ports.connect(self.endpoint)
            except (OSError, InvalidHandshake, InvalidProxy, InvalidURI, EOFError) as error:
                self._failures.failed(self._explain(error))
                wait = self._delay(failures)
                failures += 1
            else:
                self._failures.over(self.endpoint.place)
                opened = ports.clock()
                code, reason = await self._serve(wire, listener)
                if self._finished:
                    return
                if ports.clock() - opened > PROVEN_AFTER:
                    failures = 0
                else:
                    # A server that spoke to us is there: come back within seconds.
                    failures = min(failures + 1, 2) if self._heard else failures + 1
                wait = self._after(code, reason, failures)
            await ports.sleep(wait)

    async def _serve(self, wire: WebSocket, listener: Listener) -> tuple[int | None, str]:
        self._socket = wire
        self._waiting.clear()
        self._heard = False
        self._closed_with = None
        try:
            listener.link_opened(self._session())
            self._flush()
            make_ready_from_server()  # while the server makes its answer
            while self._socket is wire:
                frame = await wire.recv()
                if isinstance(frame, str):
                    for text in messages_of(frame):
                        listener.link_received(decode_from_server(text))
                        if self._socket is not wire:
                            break
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
            self._waiting.clear()
            code = wire.close_code
            reason = wire.close_reason or wire.fault
            if self._closed_with is not None:
                code, reason = self._closed_with
            listener.link_closed(reason)
        return code, reason

    def _session(self) -> str:
        """A new ULID."""
        return make_ulid(int(self._ports.wall() * 1000), self._ports.entropy(ULID_ENTROPY))

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
            shortest, longest = FENCED_DELAY
            wait = shortest + (longest - shortest) * self._ports.random()
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
        return backoff.delay(failures, self._ports.random(), self.endpoint.max_wait)

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
