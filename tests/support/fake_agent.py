"""A small agent for the server's tests: a real WebSocket that speaks the agent's side by hand.

    async with FakeAgent(url, token) as agent:
        await agent.hello()
        key = await agent.run(b"output")

It keeps nothing on disk, starts nothing, and can be told to misbehave: say anything, cut the
line, keep silent, read nothing.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from zlib import crc32

import aiohttp

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import (
    Chunk,
    ContentChunk,
    decode_from_server,
    decode_input,
    encode,
    messages_of,
)
from remote_protocol.ids import make_ulid
from remote_protocol.limits import MAX_PAYLOAD, SUBPROTOCOL
from remote_protocol.messages import (
    Accept,
    Ack,
    Confirm,
    Ended,
    Heartbeat,
    HeartbeatAck,
    Hello,
    InventoryItem,
    Message,
    Offer,
    Phase,
    ServerMessage,
    Settled,
    Started,
    Welcome,
)
from remote_protocol.states import EndReason
from tests.support.frames import encode_chunk

DEADLINE: Final = 30.0
M = TypeVar("M", bound=Message)


def cri(text: bytes, stream: bytes = b"stdout") -> bytes:
    """Lines in the form in which an agent's spool holds them."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
    prefix = stamp + b" " + stream + b" F "
    return b"".join(prefix + line + b"\n" for line in text.splitlines())


def ended(key: AttemptId, log: bytes = b"", **fields: Any) -> Ended:
    """The report of an attempt's end with this whole log."""
    values: dict[str, Any] = {
        "exit_code": 0,
        "end_reason": EndReason.EXIT,
        "size": len(log),
        "checksum": crc32(log),
        "ended_at": time.time(),
    }
    return Ended(attempt=key, **{**values, **fields})


def holds(key: AttemptId, phase: Phase, size: int = 0) -> InventoryItem:
    """An entry of an inventory."""
    return InventoryItem(attempt=key, phase=phase, size=size)


class FakeAgent:
    """One link. `heard` holds every message that came and was looked at, in order."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self.heard: list[ServerMessage] = []
        self.welcome: Welcome
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http: aiohttp.ClientSession
        self.socket: aiohttp.ClientWebSocketResponse
        self.serials: dict[AttemptId, int] = {}
        """Serial of the last offer of each attempt on this link."""
        self._unread: list[ServerMessage] = []
        self._texts: deque[str] = deque()
        """Messages of a frame that are not looked at yet."""
        self._pieces: deque[Chunk] = deque()
        self.contents: list[ContentChunk] = []
        """Pieces of contents that came."""
        self._beats = 0

    async def __aenter__(self) -> Self:
        # A client without keep-alive connections: closing it leaves nothing behind.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        try:
            self.socket = await self._http.ws_connect(
                self.url,
                headers=self._headers,
                protocols=[SUBPROTOCOL],
                max_msg_size=0,
                autoping=True,
                timeout=aiohttp.ClientWSTimeout(ws_close=DEADLINE),
            )
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self.socket.close()
        finally:
            # Also when the time of the test is over meanwhile: else a later one hears of it.
            await self._http.close()

    # Link --------------------------------------------------------------------------------------

    async def send(self, *messages: Message) -> None:
        """Say something, whatever it is."""
        for message in messages:
            await self.socket.send_str(encode(message))

    async def say(self, raw: str | bytes) -> None:
        """Send a frame as it is: text or binary."""
        if isinstance(raw, str):
            await self.socket.send_str(raw)
        else:
            await self.socket.send_bytes(raw)

    async def send_log(self, key: AttemptId, offset: int, data: bytes) -> None:
        """Send log bytes in chunks."""
        for start in range(0, len(data), MAX_PAYLOAD):
            piece = data[start : start + MAX_PAYLOAD]
            await self.say(encode_chunk(key, offset + start, piece))

    async def input(self) -> Chunk:
        """The next piece of an input; messages that come before it are kept for later."""
        while not self._pieces:
            message = await self._frame()
            if message is not None:
                self._unread.append(message)
        return self._pieces.popleft()

    async def next(self) -> ServerMessage:
        """The next message. AssertionError when the link ends or nothing comes in time."""
        while (message := await self._frame()) is None:
            pass
        return message

    async def _frame(self) -> ServerMessage | None:
        if self._texts:
            return self._message(self._texts.popleft())
        frame = await self.socket.receive(timeout=DEADLINE)
        if frame.type is aiohttp.WSMsgType.BINARY:
            piece = decode_input(frame.data)
            if isinstance(piece, ContentChunk):
                self.contents.append(piece)
            else:
                self._pieces.append(piece)
            return None
        assert frame.type is aiohttp.WSMsgType.TEXT, f"{frame.type.name} {frame.data!r}"
        self._texts.extend(messages_of(frame.data))
        return self._message(self._texts.popleft())

    def _message(self, text: str) -> ServerMessage:
        message = decode_from_server(text)
        self.heard.append(message)
        if isinstance(message, Offer):
            self.serials[message.attempt] = message.serial
        return message

    def acceptance(self, key: AttemptId) -> Accept:
        """The answer that takes an offer."""
        return Accept(attempt=key, serial=self.serials.get(key, 0))

    async def hear(self, kind: type[M]) -> M:
        """The next message of this kind that was not given yet; others are kept for later."""
        for place, message in enumerate(self._unread):
            if isinstance(message, kind):
                del self._unread[place]
                return message
        async with asyncio.timeout(DEADLINE):
            while True:
                message = await self.next()
                if isinstance(message, kind):
                    return message
                self._unread.append(message)

    async def closed(self) -> int:
        """Read until the server has closed the link; its close code."""
        async with asyncio.timeout(DEADLINE):
            while True:
                while self._texts:
                    self.heard.append(decode_from_server(self._texts.popleft()))
                frame = await self.socket.receive()
                if frame.type is aiohttp.WSMsgType.TEXT:
                    self._texts.extend(messages_of(frame.data))
                elif frame.type is aiohttp.WSMsgType.CLOSE:
                    return int(frame.data)
                elif frame.type is not aiohttp.WSMsgType.BINARY:
                    return self.socket.close_code or 0

    def cut(self) -> None:
        """End the link without a word, as a cut line does."""
        transport = self.socket.get_extra_info("transport") or self._transport()
        transport.abort()

    def stop_reading(self) -> None:
        """Read nothing any more, so that what the server sends piles up."""
        self._transport().pause_reading()

    def go_on_reading(self) -> None:
        """Read again."""
        self._transport().resume_reading()

    def _transport(self) -> asyncio.Transport:
        connection = self.socket._conn
        assert connection is not None
        transport = connection.transport
        assert isinstance(transport, asyncio.Transport)
        return transport

    # Conversation ------------------------------------------------------------------------------

    async def hello(self, *inventory: InventoryItem, **fields: Any) -> Welcome:
        """Say who it is and what it holds; the welcome."""
        values: dict[str, Any] = {
            "oldest": 1,
            "newest": 1,
            "installation": "fake",
            "session": make_ulid(int(time.time() * 1000), os.urandom(10)),
            "agent_version": "fake",
            "inventory": list(inventory),
        }
        await self.send(Hello(**{**values, **fields}))
        self.welcome = await self.hear(Welcome)
        return self.welcome

    async def beat(self, **fields: Any) -> HeartbeatAck:
        """One heartbeat; its answer."""
        self._beats += 1
        await self.send(Heartbeat(seq=self._beats, **fields))
        return await self.hear(HeartbeatAck)

    async def offered(self) -> AttemptId:
        """Wait for an offer."""
        offer = await self.hear(Offer)
        return offer.attempt

    async def accept(self, key: AttemptId) -> None:
        """Accept an offer and wait until that is confirmed."""
        await self.send(self.acceptance(key))
        confirm = await self.hear(Confirm)
        assert confirm.attempt == key

    async def start(self, key: AttemptId | None = None) -> AttemptId:
        """Take an offer (the next one) and report its process."""
        key = key or await self.offered()
        await self.accept(key)
        await self.send(Started(attempt=key, pid=os.getpid(), at=time.time()))
        return key

    async def upload(self, key: AttemptId, log: bytes, offset: int = 0) -> None:
        """Send log bytes and wait until they have all arrived."""
        await self.send_log(key, offset, log)
        while log and (await self.hear(Ack)).offset < offset + len(log):
            pass

    async def finish(self, key: AttemptId, log: bytes = b"", **fields: Any) -> None:
        """Report the end and wait until the server needs nothing more."""
        await self.send(ended(key, log, **fields))
        settled = await self.hear(Settled)
        assert settled.attempt == key

    async def run(self, log: bytes = b"", key: AttemptId | None = None, **fields: Any) -> AttemptId:
        """A whole attempt of the next offered job, with this log."""
        key = await self.start(key)
        await self.send_log(key, 0, log)
        await self.finish(key, log, **fields)
        return key
