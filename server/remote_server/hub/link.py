"""One agent's WebSocket: frames become events of its pure session, effects become I/O.

May touch its socket, the store and the log files. Everything about one link happens in the order in
which it came; commits run beside the reading, so that many reports share one transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import WSMsgType, web

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import decode_chunk, decode_from_agent
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.messages import (
    AgentMessage,
    Ended,
    Hello,
    Inventory,
    Missing,
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
    MissingReceived,
    Record,
    Recorded,
    RecordStale,
    Send,
    SendInputs,
    StoreFailed,
    TruncateLog,
    VerifyLog,
    Withdrawn,
)
from remote_server.domain.gathering import Gathering
from remote_server.domain.model import Agent, Token
from remote_server.domain.session import AgentSession
from remote_server.errors import NotFound, Refused, Stale, StoreUnavailable, UnknownQueue
from remote_server.hub.budget import Budget
from remote_server.hub.feeder import Feeder
from remote_server.hub.outbox import Outbox
from remote_server.logs import LogUnavailable

if TYPE_CHECKING:
    from remote_server.hub.hub import Hub

log = structlog.get_logger("remote_server.link")

MOST_IN_FLIGHT: Final = 1_000
"""Reports that may wait for their commit before the next frame is read."""
TURN: Final = 64
"""Frames of one link that are handled before others have their turn."""
NAP: Final = 1.0
"""Seconds at the longest for which a link over its budget is not looked at."""
_FOR_THE_HUB: Final = frozenset({Hello, Recalled, ReadInput, Missing})
_QUIET: Final = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
_NOTHING: Final = memoryview(b"")


class Link:
    """One WebSocket of one agent. `serve` is its loop; `feed` may be called at any time."""

    __slots__ = (
        "_budget",
        "_closing",
        "_commits",
        "_feeder",
        "_gathering",
        "_hub",
        "_outbox",
        "_socket",
        "address",
        "agent",
        "closed",
        "name",
        "opened_at",
        "session",
        "token",
    )

    def __init__(self, hub: Hub, wire: web.WebSocketResponse, token: Token, address: str) -> None:
        self._hub = hub
        self._socket = wire
        self._outbox = Outbox(wire, self._too_slow, self.end)
        self._commits: set[asyncio.Task[None]] = set()
        self._gathering = Gathering()
        self._budget = Budget(hub.terms.rates, hub.clock())
        self._closing: asyncio.Event | None = None
        self._feeder: Feeder | None = None
        self.name = token.agent or ""
        self.token = token
        """The bearer's, as it was at the handshake."""
        self.address = address
        self.opened_at = hub.clock()
        self.agent: Agent | None = None
        """The agent's row as of the last hello or edit."""
        self.session: AgentSession | None = None
        self.closed = False

    async def serve(self) -> None:
        """Read frames until the link ends."""
        wait = 0.0
        turn = 0
        outbox = self._outbox
        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    # What a message leads to is sent from here, without a task of its own.
                    mine, outbox.flushing = not outbox.flushing, True
                    wait = await self._text(frame.data)
                    if mine:
                        await outbox.flush()
                elif frame.type is WSMsgType.BINARY:
                    # Its ack leaves with this turn of the loop, together with those of other
                    # chunks that are here already.
                    wait = self._chunk(frame.data)
                elif frame.type is WSMsgType.ERROR:
                    # The WebSocket layer has closed it, with a code of RFC 6455.
                    self._say("link broken", reason=str(frame.data))
                if len(self._commits) > MOST_IN_FLIGHT:
                    await asyncio.wait(self._commits, return_when=asyncio.FIRST_COMPLETED)
                turn += 1
                if wait:
                    await self._rest(wait)
                elif turn % TURN == 0:
                    # Frames that are here already are given without a turn of the loop.
                    await asyncio.sleep(0)
        except RemoteProtocolError as error:
            self.close(error.code, str(error))
        except ConnectionError as error:
            # It left before its ping was answered.
            self._say("link broken", reason=str(error))
        except StoreUnavailable as error:
            self._hub.trouble()
            self.close(CloseCode.TRY_AGAIN, str(error))
        except NotFound as error:
            self.close(CloseCode.UNREGISTERED, f"the agent was deleted: {error}")
        except (Refused, UnknownQueue) as error:
            self.close(CloseCode.UNREGISTERED, str(error))
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
            self._say("link closed", code=int(code), reason=detail)
        self._closing = asyncio.Event()
        self._hub.spawn(self._outbox.close(code, detail, last, self._closing))
        self.end()

    def _say(self, event: str, **values: object) -> None:
        self._hub.lines.say(log.info, event, self.name, **values)

    def end(self) -> None:
        """The link is gone, or is to be treated so; what it held is given back."""
        if not self.closed:
            self.closed = True
            self._outbox.drop()
            if self._feeder is not None:
                self._feeder.close()
            self.feed(LinkClosed())
            self._hub.left(self)

    async def settle(self) -> None:
        """Wait until everything that was to be recorded is."""
        while self._commits:
            await asyncio.wait(self._commits)

    # Frames in ---------------------------------------------------------------------------------

    async def _text(self, text: str) -> float:
        """Hear a message; seconds for which the agent has said enough."""
        part = decode_from_agent(text)
        wait = self._budget.message(part.type, len(text), self._hub.clock())
        if self.session is None and not isinstance(part, Hello | Inventory):
            raise RemoteProtocolError(f"{part.type} came before the hello")
        message = self._gathering.hear(part)
        if message is None:
            return wait
        if type(message) in _FOR_THE_HUB:
            await self._look_up(message)
        else:
            self.feed(MessageReceived(message))
        return wait

    async def _look_up(self, message: AgentMessage) -> None:
        """Messages that say something of what is kept outside the session."""
        if isinstance(message, Hello):
            await self._hub.greeter.greet(self, message)
        elif isinstance(message, Recalled):
            if self.session is None or not self.session.recalling:
                raise RemoteProtocolError("recalled came, but was not asked for")
            await self._hub.greeter.recalled(self, message)
        elif isinstance(message, ReadInput):
            self._read_input(message)
        elif isinstance(message, Missing):
            self._missing(message)

    def _missing(self, message: Missing) -> None:
        key = message.attempt
        try:
            held = self.session is not None and key in self.session.leases
            length = self._hub.logs.length(key) if held else 0
        except LogUnavailable as error:
            self._failed(key, error)
        else:
            self.feed(MissingReceived(message, length))

    def _chunk(self, frame: bytes) -> float:
        chunk = decode_chunk(frame)
        if self.session is None:
            raise RemoteProtocolError("log bytes came before the hello")
        wait = self._budget.chunk(self._hub.clock())
        key = chunk.attempt
        if key not in self.session.leases:
            # Nothing is looked up on the disk for what was never given.
            self.feed(ChunkReceived(key, chunk.offset, len(chunk.payload), 0))
            return wait
        try:
            length = self._hub.logs.length(key)
        except LogUnavailable as error:
            self._failed(key, error)
            return wait
        self.feed(ChunkReceived(key, chunk.offset, len(chunk.payload), length), chunk.payload)
        return wait

    async def _rest(self, wait: float) -> None:
        """The agent is over its budget: read nothing for a while."""
        if self._budget.spent(self._hub.clock()):
            raise RemoteProtocolError(
                "the agent sends more than any agent needs, and goes on although it is slowed"
            )
        await asyncio.sleep(min(wait, NAP))

    def _read_input(self, message: ReadInput) -> None:
        if self.session is None:
            return
        if self._feeder is None:
            inputs, send = self._hub.inputs, self._outbox.send_bytes
            self._feeder = Feeder(inputs, send, self.feed, self._failed, self._broke)
        self._feeder.read(self.session, message.attempt, message.offset)

    # Effects out -------------------------------------------------------------------------------

    def _carry(self, effect: Effect, payload: memoryview) -> None:
        match effect:
            case Send(message):
                self._send(message)
            case Record():
                self._spawn(self._commit(effect))
            case AppendLog(key, skip, ack, take):
                try:
                    self._hub.logs.append(key, payload[skip:][:take])
                except LogUnavailable as error:
                    self._failed(key, error)
                else:
                    self._send(ack.message)
            case VerifyLog(ended):
                known = self._hub.logs.known_checksum(ended.attempt, ended.size)
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
                self._hub.lease_ended(agent, key, f"attempt {change.key.number} came back")
            for answer in record.then:
                self._send(answer.message)
            self.feed(Recorded(change))
            if isinstance(change, Accepted) and change.first:
                self._hub.took(self.name, change.key)
            elif isinstance(change, Withdrawn):
                self._hub.gave_back(self.name, change.key, change.detail)
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
        key = ended.attempt
        try:
            checksum = await self._hub.logs.checksum(key, ended.size, self.name)
            length = self._hub.logs.length(key)
        except LogUnavailable as error:
            self._failed(key, error)
            return
        self.feed(LogVerified(ended, length, checksum == ended.checksum))

    def _failed(self, key: AttemptId, error: Exception) -> None:
        self._hub.lines.say(
            log.warning, "nothing was acknowledged", self.name, attempt=str(key), reason=str(error)
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
        self._hub.lines.say(log.error, "a link failed", self.name, exc_info=error)
        self.close(CloseCode.INTERNAL, "the server failed; see its log")

    def _send(self, message: ServerMessage) -> None:
        if not self.closed:
            self._outbox.put(message)

    def _too_slow(self) -> None:
        self.close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
