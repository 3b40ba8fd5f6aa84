"""One agent's WebSocket: frames become events of its pure session, effects become I/O.

May touch its socket, the store and the log files. Everything about one link happens in the order in
which it came; commits run beside the reading, so that many reports share one transaction.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import WSMsgType, web

from remote_protocol.codec import decode_chunk, decode_from_agent, encode
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.messages import Ack, Ended, Error, Hello, ServerMessage
from remote_server.domain.events import (
    AppendLog,
    CapacityChanged,
    ChunkReceived,
    Close,
    Effect,
    Event,
    Finished,
    LinkClosed,
    LogVerified,
    MessageReceived,
    Record,
    Recorded,
    RecordStale,
    Send,
    StoreFailed,
    TruncateLog,
    VerifyLog,
)
from remote_server.domain.model import Agent, Key
from remote_server.domain.session import AgentSession
from remote_server.errors import NotFound, Stale, StoreUnavailable
from remote_server.logs import LogUnavailable

if TYPE_CHECKING:
    from remote_server.hub.hub import Hub

log = structlog.get_logger("link")

MOST_WAITING: Final = 20_000
"""Messages that may wait for a slow agent; beyond them its link is closed."""
SEND_TIMEOUT: Final = 60.0
_NOTHING: Final = memoryview(b"")


class Link:
    """One WebSocket of one agent. `serve` is its loop; `feed` may be called at any time."""

    __slots__ = (
        "_closing",
        "_commits",
        "_flusher",
        "_flushing",
        "_hub",
        "_outbox",
        "_socket",
        "address",
        "agent",
        "closed",
        "name",
        "session",
    )

    def __init__(self, hub: Hub, wire: web.WebSocketResponse, name: str, address: str) -> None:
        self._hub = hub
        self._socket = wire
        self._outbox: deque[ServerMessage] = deque()
        self._commits: set[asyncio.Task[None]] = set()
        self._flushing = False
        self._flusher: asyncio.Task[None] | None = None
        self.name = name
        self.address = address
        self.agent: Agent | None = None
        """The agent's row as of the last hello or edit."""
        self.session: AgentSession | None = None
        self._closing: asyncio.Event | None = None
        self.closed = False

    async def serve(self) -> None:
        """Read frames until the link ends."""
        try:
            async for frame in self._socket:
                # What a frame leads to is sent from here, without a task of its own.
                mine, self._flushing = not self._flushing, True
                if frame.type is WSMsgType.TEXT:
                    await self._text(frame.data)
                elif frame.type is WSMsgType.BINARY:
                    self._chunk(frame.data)
                if mine:
                    await self._flush()
        except RemoteProtocolError as error:
            self._say_why_and_close(error.code, str(error))
        except StoreUnavailable as error:
            self._hub.trouble()
            self._say_why_and_close(CloseCode.TRY_AGAIN, str(error))
        except NotFound as error:
            self._say_why_and_close(CloseCode.UNREGISTERED, f"the agent was deleted: {error}")
        finally:
            if self._closing is not None:
                # Whoever called would close the socket for us, without our code and reason.
                await self._closing.wait()
            self.end()

    def feed(self, event: Event, payload: memoryview = _NOTHING) -> None:
        """Let the session hear of `event` and carry out what it wants."""
        if self.session is not None:
            for effect in self.session.handle(event, self._hub.clock()):
                self._carry(effect, payload)

    def end(self) -> None:
        """The link is gone, or is to be treated so; what it held is given back."""
        if not self.closed:
            self.closed = True
            if self._flusher is not None and self._flusher is not asyncio.current_task():
                self._flusher.cancel()
            self.feed(LinkClosed())
            self._hub.left(self)

    async def fence(self) -> None:
        """A newer session of the agent is here: close this one, wait for what it still records."""
        self._say_why_and_close(
            CloseCode.FENCED, "a newer session of this agent is connected; this one ends"
        )
        self.end()
        await self.settle()

    async def settle(self) -> None:
        """Wait until everything that was to be recorded is."""
        while self._commits:
            await asyncio.wait(self._commits)

    def close(self, code: CloseCode, detail: str) -> None:
        """Say why, then close."""
        self._say_why_and_close(code, detail)

    # Frames in ---------------------------------------------------------------------------------

    async def _text(self, text: str) -> None:
        message = decode_from_agent(text)
        if isinstance(message, Hello):
            await self._hub.greet(self, message)
        elif self.session is None:
            raise RemoteProtocolError(f"{message.type} came before the hello")
        else:
            self.feed(MessageReceived(message))

    def _chunk(self, frame: bytes) -> None:
        chunk = decode_chunk(frame)
        if self.session is None:
            raise RemoteProtocolError("log bytes came before the hello")
        key = Key(chunk.job, chunk.attempt)
        try:
            length = self._hub.logs.length(key)
        except LogUnavailable as error:
            self._failed(key, error)
            return
        self.feed(ChunkReceived(key, chunk.offset, len(chunk.payload), length), chunk.payload)

    # Effects out -------------------------------------------------------------------------------

    def _carry(self, effect: Effect, payload: memoryview) -> None:
        match effect:
            case Send(message):
                self._send(message)
            case Record():
                self._spawn(self._commit(effect))
            case AppendLog(key, skip, ack):
                try:
                    self._hub.logs.append(key, payload[skip:])
                except LogUnavailable as error:
                    self._failed(key, error)
                else:
                    self._send(ack.message)
            case VerifyLog(ended):
                self._spawn(self._verify(ended))
            case TruncateLog(key):
                try:
                    self._hub.logs.truncate(key)
                except LogUnavailable as error:
                    self._failed(key, error)
            case CapacityChanged():
                self._hub.changed(self.name)
            case Close(code, detail):
                self._say_why_and_close(code, detail)

    async def _commit(self, record: Record) -> None:
        change = record.change
        try:
            if isinstance(change, Finished) and change.ended.size and self._hub.terms.durable:
                await self._hub.logs.sync(change.key)
            outcome = await self._hub.store.record(self.name, change, time.time())
        except Stale:
            self.feed(RecordStale(change))
        except (StoreUnavailable, LogUnavailable) as error:
            self._failed(change.key, error)
        else:
            if outcome.superseded is not None:
                # Another agent holds the replacement of an attempt that came back.
                agent, key = outcome.superseded
                self._hub.lease_ended(agent, key, f"attempt {change.key.attempt} came back")
            for answer in record.then:
                self._send(answer.message)
            self.feed(Recorded(change))
            if isinstance(change, Finished):
                self._hub.logs.finish(change.key)

    async def _verify(self, ended: Ended) -> None:
        key = Key(ended.job, ended.attempt)
        try:
            checksum = await self._hub.logs.checksum(key, ended.size)
            length = self._hub.logs.length(key)
        except LogUnavailable as error:
            self._failed(key, error)
            return
        self.feed(LogVerified(ended, length, checksum == ended.checksum))

    def _failed(self, key: Key, error: Exception) -> None:
        log.warning(
            "nothing was acknowledged", agent=self.name, attempt=str(key), reason=str(error)
        )
        self._hub.trouble()
        self.feed(StoreFailed(key))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._commits.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._commits.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an effect failed", agent=self.name, exc_info=error)
            self._say_why_and_close(CloseCode.INTERNAL, "the server failed; see its log")

    # Messages out ------------------------------------------------------------------------------

    def _send(self, message: ServerMessage) -> None:
        outbox = self._outbox
        if outbox and isinstance(message, Ack):
            last = outbox[-1]
            if (
                isinstance(last, Ack)
                and last.job == message.job
                and last.attempt == message.attempt
            ):
                # Acks are cumulative: only the newest of a run has to travel.
                outbox[-1] = message
                return
        outbox.append(message)
        if len(outbox) > MOST_WAITING:
            outbox.clear()
            self._say_why_and_close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
        elif not self._flushing:
            self._flushing = True
            self._flusher = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        self._flushing = True
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                while self._outbox:
                    await self._socket.send_str(encode(self._outbox.popleft()))
        except (OSError, TimeoutError, RuntimeError):
            # The reading side notices the end of the link and gives everything back.
            self._outbox.clear()
            self.end()
        finally:
            self._flushing = False

    def _say_why_and_close(self, code: CloseCode, detail: str) -> None:
        if self._socket.closed:
            return
        if code not in (CloseCode.NORMAL, CloseCode.GOING_AWAY):
            log.info("link closed", agent=self.name, code=int(code), reason=detail)
        self._closing = asyncio.Event()
        self._hub.spawn(self._close(code, detail, self._closing))

    async def _close(self, code: CloseCode, detail: str, closed: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(5):
                if code is not CloseCode.GOING_AWAY:
                    error = Error(code=code.name.lower(), detail=detail[:2000])
                    await self._socket.send_str(encode(error))
                await self._socket.close(code=code, message=detail.encode()[:120])
        except (OSError, TimeoutError, RuntimeError):
            pass
        # A peer that is gone without a word would keep the reading side waiting for ever.
        wire = self._socket.get_extra_info("socket")
        if wire is not None:
            with suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        closed.set()
        self.end()
