"""One agent's WebSocket: frames become events of its pure session, effects become I/O.

May touch its socket, the store and the log files. Everything about one link happens in the order in
which it came; commits run beside the reading, so that many reports share one transaction.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import WSMsgType, web

from remote_protocol.codec import decode_chunk, decode_from_agent, encode
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import (
    Ack,
    Ended,
    Error,
    Hello,
    ReadInput,
    Recalled,
    ServerMessage,
)
from remote_server.domain.events import (
    Accepted,
    AppendLog,
    CapacityChanged,
    ChunkReceived,
    Close,
    Effect,
    Event,
    FillLog,
    Finished,
    LinkClosed,
    LogVerified,
    MessageReceived,
    Record,
    Recorded,
    RecordStale,
    Send,
    SendInputs,
    StoreFailed,
    TruncateLog,
    VerifyLog,
)
from remote_server.domain.model import Agent, Key
from remote_server.domain.session import AgentSession
from remote_server.errors import NotFound, Stale, StoreUnavailable
from remote_server.hub.feeder import Feeder
from remote_server.logs import LogUnavailable

if TYPE_CHECKING:
    from remote_server.hub.hub import Hub

log = structlog.get_logger("remote_server.link")

MOST_WAITING: Final = 20_000
"""Messages that may wait for a slow agent; beyond them its link is closed."""
MOST_IN_FLIGHT: Final = 1_000
"""Reports that may wait for their commit before the next frame is read."""
SEND_TIMEOUT: Final = 60.0
"""Seconds that an agent may leave what it is sent unread."""
CLOSE_TIMEOUT: Final = 5.0
_REASON_BYTES: Final = 120
"""RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code."""
_QUIET: Final = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
_NOTHING: Final = memoryview(b"")


class Link:
    """One WebSocket of one agent. `serve` is its loop; `feed` may be called at any time."""

    __slots__ = (
        "_closing",
        "_commits",
        "_feeder",
        "_flusher",
        "_flushing",
        "_hub",
        "_outbox",
        "_socket",
        "address",
        "agent",
        "closed",
        "name",
        "opened_at",
        "session",
    )

    def __init__(self, hub: Hub, wire: web.WebSocketResponse, name: str, address: str) -> None:
        self._hub = hub
        self._socket = wire
        self._outbox: deque[ServerMessage] = deque()
        self._commits: set[asyncio.Task[None]] = set()
        self._flushing = False
        self._flusher: asyncio.Task[None] | None = None
        self._closing: asyncio.Event | None = None
        self._feeder: Feeder | None = None
        self.name = name
        self.address = address
        self.opened_at = hub.clock()
        self.agent: Agent | None = None
        """The agent's row as of the last hello or edit."""
        self.session: AgentSession | None = None
        self.closed = False

    async def serve(self) -> None:
        """Read frames until the link ends."""
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    # What a message leads to is sent from here, without a task of its own.
                    mine, self._flushing = not self._flushing, True
                    await self._text(frame.data)
                    if mine:
                        await self._flush()
                elif frame.type is WSMsgType.BINARY:
                    # Its ack leaves with this turn of the loop, together with those of other
                    # chunks that are here already.
                    self._chunk(frame.data)
                elif frame.type is WSMsgType.ERROR:
                    # The WebSocket layer has closed it, with a code of RFC 6455.
                    log.info("link broken", agent=self.name, reason=str(frame.data))
                if len(self._commits) > MOST_IN_FLIGHT:
                    await asyncio.wait(self._commits, return_when=asyncio.FIRST_COMPLETED)
        except RemoteProtocolError as error:
            self.close(error.code, str(error))
        except StoreUnavailable as error:
            self._hub.trouble()
            self.close(CloseCode.TRY_AGAIN, str(error))
        except NotFound as error:
            self.close(CloseCode.UNREGISTERED, f"the agent was deleted: {error}")
        except Exception:
            self._broke()
        finally:
            self.end()
            if self._closing is not None:
                # Whoever called would close the socket for us, without our code and reason.
                await self._closing.wait()

    def feed(self, event: Event, payload: memoryview = _NOTHING) -> None:
        """Let the session hear of `event` and carry out what it wants."""
        if self.session is None:
            return
        try:
            for effect in self.session.handle(event, self._hub.clock()):
                self._carry(effect, payload)
        except Exception:
            self._broke()

    def close(self, code: CloseCode, detail: str, last: Sequence[ServerMessage] = ()) -> None:
        """Say `last` and why, then close. From now on nothing is heard from it or given to it."""
        if self._closing is not None or self._socket.closed:
            self.end()
            return
        if code not in _QUIET:
            log.info("link closed", agent=self.name, code=int(code), reason=detail)
        self._closing = asyncio.Event()
        self._hub.spawn(self._close(code, detail, last, self._closing))
        self.end()

    def end(self) -> None:
        """The link is gone, or is to be treated so; what it held is given back."""
        if not self.closed:
            self.closed = True
            self._outbox.clear()
            if self._flusher is not None and self._flusher is not asyncio.current_task():
                self._flusher.cancel()
            if self._feeder is not None:
                self._feeder.close()
            self.feed(LinkClosed())
            self._hub.left(self)

    async def settle(self) -> None:
        """Wait until everything that was to be recorded is."""
        while self._commits:
            await asyncio.wait(self._commits)

    # Frames in ---------------------------------------------------------------------------------

    async def _text(self, text: str) -> None:
        message = decode_from_agent(text)
        if isinstance(message, Hello):
            await self._hub.greet(self, message)
        elif self.session is None:
            raise RemoteProtocolError(f"{message.type} came before the hello")
        elif isinstance(message, Recalled):
            await self._hub.recalled(self, message)
        elif isinstance(message, ReadInput):
            self._read_input(message)
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

    def _read_input(self, message: ReadInput) -> None:
        if self._feeder is None:
            inputs = self._hub.inputs
            self._feeder = Feeder(inputs, self._send_input, self.feed, self._failed, self._broke)
        self._feeder.read(Key(message.job, message.attempt), message.offset)

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
                known = self._hub.logs.known_checksum(Key(ended.job, ended.attempt), ended.size)
                if known is None:
                    self._spawn(self._verify(ended))
                else:
                    self.feed(LogVerified(ended, ended.size, known == ended.checksum))
            case TruncateLog(key, length):
                try:
                    self._hub.logs.truncate(key, length)
                except LogUnavailable as error:
                    self._failed(key, error)
            case FillLog(key, length):
                try:
                    self._hub.logs.fill(key, length, time.time())
                except LogUnavailable as error:
                    self._failed(key, error)
            case SendInputs():
                if self._feeder is not None and self.session is not None:
                    self._feeder.wake(self.session)
            case CapacityChanged():
                self._hub.changed(self)
            case Close(code, detail):
                self.close(code, detail)

    async def _commit(self, record: Record) -> None:
        change = record.change
        try:
            if isinstance(change, Accepted) and change.first:
                # Before the commit: behind a crash in between, nobody would know what to cut.
                self._hub.logs.begin(change.key)
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
                if change.torn:
                    self._hub.logs.torn += 1
                    log.warning(
                        "a log is incomplete",
                        agent=self.name,
                        attempt=str(change.key),
                        reason=change.torn,
                    )

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
            self._broke(error)

    def _broke(self, error: BaseException | bool = True) -> None:
        """Our own bug: it costs this link only."""
        log.error("a link failed", agent=self.name, exc_info=error)
        self.close(CloseCode.INTERNAL, "the server failed; see its log")

    # Messages out ------------------------------------------------------------------------------

    def _send(self, message: ServerMessage) -> None:
        if self.closed:
            return
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
            self.close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
        elif not self._flushing:
            self._flushing = True
            self._flusher = asyncio.ensure_future(self._flush())

    async def _flush(self) -> None:
        try:
            if self._outbox:
                async with asyncio.timeout(SEND_TIMEOUT):
                    while self._outbox:
                        await self._socket.send_str(encode(self._outbox.popleft()))
        except TimeoutError:
            self.close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
        except (OSError, RuntimeError):
            # The reading side notices the end of the link, too.
            self.end()
        finally:
            self._flushing = False

    async def _send_input(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._socket.send_bytes(frame)
        except TimeoutError:
            self.close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
        except (OSError, RuntimeError):
            self.end()

    async def _close(
        self,
        code: CloseCode,
        detail: str,
        last: Sequence[ServerMessage],
        closed: asyncio.Event,
    ) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                for message in last:
                    await self._socket.send_str(encode(message))
                if code is not CloseCode.GOING_AWAY:
                    error = Error(code=code.name.lower(), detail=detail[:MAX_TEXT])
                    await self._socket.send_str(encode(error))
                reason = detail.encode()[:_REASON_BYTES].decode(errors="ignore")
                await self._socket.close(code=code, message=reason.encode())
        except (OSError, TimeoutError, RuntimeError):
            pass
        finally:
            # Also when cancelled: aiohttp lets all who wait for a full socket to drain share one
            # future, which the flusher's end cancels for everybody.
            closed.set()
            # A peer that is gone without a word would keep the reading side waiting for ever.
            wire = self._socket.get_extra_info("socket")
            if wire is not None:
                with suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)
