"""One agent's WebSocket: frames become events of its pure session, effects become I/O.

May touch its socket, the store and the log files. Everything about one link happens in the order in
which it came; commits run beside the reading, so that many reports share one transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog
from aiohttp import WSMsgType

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import (
    ArtifactChunk,
    ToAgent,
    decode_chunk,
    decode_from_agent,
    messages_of,
)
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.messages import (
    AgentMessage,
    Artifact,
    ArtifactLost,
    Heartbeat,
    Hello,
    Inventory,
    Missing,
    OwnLog,
    OwnLogAck,
    ReadContent,
    ReadInput,
    ServerMessage,
)
from remote_server.domain.events import (
    ChunkReceived,
    Event,
    LinkClosed,
    MessageReceived,
    MissingReceived,
)
from remote_server.domain.links import Fetching
from remote_server.domain.message_parts import PartAssembler
from remote_server.domain.model import Agent, Token
from remote_server.domain.session import AgentSession
from remote_server.errors import NotFound, Refused, StoreUnavailable, UnknownQueue
from remote_server.hub.artifacts import ArtifactReceiver
from remote_server.hub.budget import Budget
from remote_server.hub.contents import ContentSender
from remote_server.hub.executor import Executor
from remote_server.hub.input_sender import InputSender
from remote_server.hub.outbox import Outbox, Outgoing
from remote_server.hub.owner import Owner
from remote_server.hub.socket import Socket
from remote_server.logs import LogUnavailable

log = structlog.get_logger("remote_server.link")

MOST_IN_FLIGHT: Final = 1_000
"""Reports that may wait for their commit before the next frame is read."""
TURN: Final = 64
"""Frames and messages of one link that are handled before others have their turn."""
NAP: Final = 1.0
"""Seconds at the longest for which a link over its budget is not looked at."""
_FOR_THE_HUB: Final = frozenset(
    {Hello, ReadInput, Missing, OwnLog, Artifact, ArtifactLost, ReadContent}
)
_QUIET: Final = frozenset({CloseCode.NORMAL, CloseCode.GOING_AWAY})
_NOTHING: Final = memoryview(b"")


class LinkOwner(Owner, Protocol):
    """The hub: it hears what becomes of its links."""

    outgoing: Outgoing
    """What waits to be sent by any of them."""

    async def hello(self, link: Link, hello: Hello) -> None:
        """Reconcile a hello with the database."""

    def changed(self, link: Link) -> None:
        """The place for jobs of a link's agent changed."""

    def left(self, link: Link) -> None:
        """A link has ended."""


class Link:
    """One WebSocket of one agent. `serve` is its loop; `feed` may be called at any time."""

    __slots__ = (
        "_artifacts",
        "_budget",
        "_closing",
        "_contents",
        "_executor",
        "_outbox",
        "_owner",
        "_parts",
        "_sender",
        "_socket",
        "address",
        "agent",
        "closed",
        "moved",
        "name",
        "opened_at",
        "session",
        "token",
    )

    def __init__(self, owner: LinkOwner, wire: Socket, token: Token, address: str) -> None:
        self._owner = owner
        self._socket = wire
        self._outbox = Outbox(wire, owner.outgoing, self._too_slow, self.end)
        self._executor = Executor(owner, self)
        self.name = token.agent or ""
        self._parts = PartAssembler()
        self._budget = Budget(owner.terms.rates, owner.clock.boot())
        self._closing: asyncio.Event | None = None
        self._sender: InputSender | None = None
        self._contents: ContentSender | None = None
        self._artifacts: ArtifactReceiver | None = None
        self.token = token
        """The bearer's, as it was at the handshake."""
        self.address = address
        self.opened_at = owner.clock.boot()
        self.agent: Agent | None = None
        """The agent's row as of the last hello or edit."""
        self.session: AgentSession | None = None
        self.closed = False
        self.moved = False
        """Another installation had the agent's name before."""

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
                    for text in messages_of(frame.data):
                        wait = max(wait, await self._text(text))
                        turn += 1
                        if self.closed:
                            break
                    if mine and not outbox.flush():
                        await outbox.drain()
                elif frame.type is WSMsgType.BINARY:
                    # Its ack leaves with this turn of the loop, together with those of other
                    # chunks that are here already.
                    wait = self._chunk(frame.data)
                elif frame.type is WSMsgType.ERROR:
                    # The WebSocket layer has closed it, with a code of RFC 6455.
                    self._say("link broken", reason=str(frame.data))
                if self.closed:
                    # Whatever else is here already is heard by nobody.
                    break
                working = self._executor.working
                if len(working) > MOST_IN_FLIGHT:
                    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
                turn += 1
                if wait:
                    await self._rest(wait)
                    wait = 0.0
                elif turn >= TURN:
                    # Frames that are here already are given without a turn of the loop.
                    turn = 0
                    await asyncio.sleep(0)
        except RemoteProtocolError as error:
            self.close(error.code, str(error))
        except ConnectionError as error:
            # It left before its ping was answered.
            self._say("link broken", reason=str(error))
        except StoreUnavailable as error:
            self._owner.trouble()
            self.close(CloseCode.TRY_AGAIN, str(error))
        except NotFound as error:
            self.close(CloseCode.UNREGISTERED, f"the agent was deleted: {error}")
        except (Refused, UnknownQueue) as error:
            self.close(CloseCode.UNREGISTERED, str(error))
        except Exception:
            self.broke()
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
            for effect in self.session.handle(event, self._owner.clock.boot()):
                self._executor.carry(effect, payload)
        except Exception:
            self.broke()

    def close(self, code: CloseCode, detail: str, last: Sequence[ServerMessage] = ()) -> None:
        """Say what waits, `last` and why, then close. From now on it hears and gets nothing."""
        if self._closing is not None or self._socket.closed:
            self.end()
            return
        self._outbox.flush()
        if code not in _QUIET:
            self._say("link closed", code=int(code), reason=detail)
        self._closing = asyncio.Event()
        self._owner.spawn(self._outbox.close(code, detail, last, self._closing))
        self.end()

    def _say(self, event: str, **values: object) -> None:
        self._owner.log.write(log.info, event, self.name, **values)

    def end(self) -> None:
        """The link is gone, or is to be treated so; what it held is given back."""
        if not self.closed:
            self.closed = True
            self._outbox.drop()
            if self._sender is not None:
                self._sender.close()
            if self._contents is not None:
                self._contents.close()
            self.feed(LinkClosed())
            self._owner.left(self)

    async def settle(self) -> None:
        """Wait until everything that was to be recorded is."""
        await self._executor.settle()

    # Frames in ---------------------------------------------------------------------------------

    async def _text(self, text: str) -> float:
        """Hear a message; seconds for which the agent has said enough."""
        part = decode_from_agent(text)
        wait = self._budget.message(part.type, len(text), self._owner.clock.boot())
        if self.session is None and not isinstance(part, Hello | Inventory):
            raise RemoteProtocolError(f"{part.type} came before the hello")
        message = self._parts.hear(part)
        if message is None:
            return wait
        if type(message) in _FOR_THE_HUB:
            await self._look_up(message)
        else:
            self.feed(MessageReceived(message))
            if type(message) is Heartbeat and message.load is not None and self.session is not None:
                self._owner.loads.add(self.name, message.load)
        return wait

    async def _look_up(self, message: AgentMessage) -> None:
        """Messages that say something of what is kept outside the session."""
        if isinstance(message, Hello):
            await self._owner.hello(self, message)
        elif isinstance(message, ReadInput):
            self._read_input(message)
        elif isinstance(message, Missing):
            self._missing(message)
        elif isinstance(message, OwnLog):
            self._own_log(message)
        elif isinstance(message, Artifact | ArtifactLost) and self.session is not None:
            self._receiver().hear(message)
        elif isinstance(message, ReadContent) and self.session is not None:
            if self._contents is None:
                owner, executor = self._owner, self._executor
                send = self._outbox.send_bytes
                self._contents = ContentSender(owner, self.send, send, executor.run, executor.noted)
            self._contents.hear(self.session, message)

    def _receiver(self) -> ArtifactReceiver:
        """Made for the first artifact: most agents have none."""
        if self._artifacts is None:
            run, noted = self._executor.run, self._executor.noted
            self._artifacts = ArtifactReceiver(self._owner, self.name, self.send, run, noted)
        return self._artifacts

    def _own_log(self, message: OwnLog) -> None:
        """Without an answer, when it cannot be kept now, the agent says it again later."""
        # Before the hello nobody knows whether this is the agent that the log is of.
        heard = self.session is not None and self.session.hello is not None
        if heard and self._owner.agent_logs.append(self.name, message.lines, message.cursor):
            self.send(OwnLogAck(cursor=message.cursor))

    def _missing(self, message: Missing) -> None:
        key = message.attempt
        try:
            held = self.session is not None and key in self.session.leases
            length = self._owner.logs.length(key) if held else 0
        except LogUnavailable as error:
            self._executor.failed(key, error)
        else:
            self.feed(MissingReceived(message, length))

    def _chunk(self, frame: bytes) -> float:
        chunk = decode_chunk(frame)
        if self.session is None:
            raise RemoteProtocolError("log bytes came before the hello")
        wait = self._budget.chunk(self._owner.clock.boot())
        if isinstance(chunk, ArtifactChunk):
            self._receiver().take(chunk)
            return wait
        key = chunk.attempt
        if key not in self.session.leases:
            # Nothing is looked up on the disk for what was never given.
            self.feed(ChunkReceived(key, chunk.offset, len(chunk.payload), 0))
            return wait
        try:
            length = self._owner.logs.length(key)
        except LogUnavailable as error:
            self._executor.failed(key, error)
            return wait
        self.feed(ChunkReceived(key, chunk.offset, len(chunk.payload), length), chunk.payload)
        return wait

    async def _rest(self, wait: float) -> None:
        """The agent is over its budget: read nothing for a while."""
        self._owner.log.write(log.warning, "an agent sends more than it may: it waits", self.name)
        if self._budget.spent(self._owner.clock.boot()):
            raise RemoteProtocolError(
                "the agent sends more than any agent needs, and goes on although it is slowed"
            )
        await asyncio.sleep(min(wait, NAP))

    def _read_input(self, message: ReadInput) -> None:
        if self.session is None:
            return
        if self._sender is None:
            inputs, send = self._owner.inputs, self._outbox.send_bytes
            self._sender = InputSender(inputs, send, self.feed, self._executor.failed, self.broke)
        self._sender.read(self.session, message.attempt, message.offset)

    # What the executor asks --------------------------------------------------------------------

    def send(self, message: ToAgent) -> None:
        """Send a message when its turn comes."""
        if not self.closed:
            self._outbox.put(message)

    def fetching(self, key: AttemptId) -> Fetching | None:
        """How far the agent is that waits for the files of an attempt; None: it does not."""
        if self._contents is None or self.session is None:
            return None
        return self._contents.fetching(self.session, key)

    def send_inputs(self) -> None:
        """There are pieces of inputs to send."""
        if self._sender is not None and self.session is not None:
            self._sender.wake(self.session)

    def capacity_changed(self) -> None:
        """The agent's place for jobs changed."""
        self._owner.changed(self)

    def broke(self, error: BaseException | bool = True) -> None:
        """Our own bug: it costs this link only."""
        self._owner.log.write(log.error, "a link failed", self.name, exc_info=error)
        self.close(CloseCode.INTERNAL, "the server failed; see its log")

    def _too_slow(self) -> None:
        self.close(CloseCode.TRY_AGAIN, "the agent reads too slowly")
