"""A simulated link: two queues that may be slow, frozen, cut, or lose what is in flight.

Its two ends are what the programs use: `AgentSocket` for the agent's link, `ServerSocket` for the
hub's. A frame reaches a program when the world has its end read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from aiohttp import WSMessage, WSMsgType
from websockets.exceptions import ConnectionClosed

from remote_protocol.codec import messages_of
from remote_protocol.errors import CloseCode

CLOSES = {CloseCode.SILENT, CloseCode.FENCED, CloseCode.TRY_AGAIN}
"""Why a link may be closed when both sides do all as they should."""


@dataclass(frozen=True)
class Closed:
    """The end of a link, as its peer sees it."""

    code: int | None = None
    reason: str = ""


Frame = str | bytes | Closed


@dataclass(eq=False)
class Wire:
    """One WebSocket. Each direction keeps its order and delivers a prefix of what was sent."""

    agent: str
    up: deque[Frame] = field(default_factory=deque)
    down: deque[Frame] = field(default_factory=deque)
    agent_end: bool = True
    server_end: bool = True
    broken: bool = False
    frozen: bool = False

    def send_up(self, frame: Frame) -> None:
        if self.agent_end and not self.broken:
            self.up.append(frame)

    def send_down(self, frame: Frame) -> None:
        if self.server_end and not self.broken:
            self.down.append(frame)

    def close_by_agent(self, code: int | None = None, reason: str = "") -> None:
        self.send_up(Closed(code, reason))
        self.agent_end = False
        self.down.clear()

    def close_by_server(self, code: int | None = None, reason: str = "") -> None:
        self.send_down(Closed(code, reason))
        self.server_end = False
        self.up.clear()

    def cut(self, rng: Random) -> None:
        """Lose any suffix of each direction; each end may or may not be told."""
        if self.broken:
            return
        self.broken, self.frozen = True, False
        for queue in (self.up, self.down):
            for _ in range(rng.randint(0, len(queue))):
                queue.pop()
            if rng.random() < 0.7:
                queue.append(Closed())


class AgentSocket:
    """The agent's end (`connection.link.WebSocket`)."""

    fault = "the network cut it"

    def __init__(self, wire: Wire, closed: Callable[[int, str], None]) -> None:
        self.wire = wire
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._closed = closed
        self._waiter: asyncio.Future[Frame] | None = None

    async def recv(self) -> str | bytes:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            frame = await self._waiter
        finally:
            self._waiter = None
        if isinstance(frame, Closed):
            self.close_code, self.close_reason = frame.code, frame.reason
            raise ConnectionClosed(None, None)
        return frame

    def write(self, frame: str | memoryview) -> None:
        self.wire.send_up(frame if isinstance(frame, str) else bytes(frame))

    def flush(self) -> None:
        """Frames leave at once here."""

    async def drain(self) -> None:
        raise AssertionError("the world takes the uploader's steps")

    async def close(self, code: int, reason: str) -> None:
        self._closed(code, reason)
        self.wire.close_by_agent(code, reason)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Closed(code, reason))

    def read(self) -> bool:
        """Have the agent read one frame, if it waits for one."""
        wire, waiter = self.wire, self._waiter
        if wire.frozen or not wire.down or waiter is None or waiter.done():
            return False
        frame = wire.down.popleft()
        if isinstance(frame, Closed):
            wire.agent_end = False
        waiter.set_result(frame)
        return True


class ServerSocket:
    """The server's end (`hub.socket.Socket`). Once its process is dead, nothing leaves it."""

    def __init__(self, wire: Wire, alive: Callable[[], bool], sent: Callable[[str], None]) -> None:
        self.wire = wire
        self.closed = False
        self.closed_with: tuple[int, str] | None = None
        """Why the server closed it."""
        self._alive = alive
        self._sent = sent
        self._waiter: asyncio.Future[Frame] | None = None
        self._sending: tuple[bytes, asyncio.Future[None]] | None = None
        self._blocked: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WSMessage:
        if self.closed:
            raise StopAsyncIteration
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            frame = await self._waiter
        finally:
            self._waiter = None
        if isinstance(frame, Closed):
            self._end()
            raise StopAsyncIteration
        kind = WSMsgType.TEXT if isinstance(frame, str) else WSMsgType.BINARY
        return WSMessage(kind, frame, None)

    @property
    def room(self) -> bool:
        return not (self.wire.frozen and self._alive())

    def write_text(self, data: str) -> None:
        if self.closed:
            raise ConnectionResetError("the link is gone")
        if self._alive():
            for text in messages_of(data):
                self._sent(text)
            self.wire.send_down(data)

    async def send_str(self, data: str) -> None:
        while self.wire.frozen and self._alive():
            # What it sends fills the buffers of a peer that does not read.
            self._blocked = asyncio.get_running_loop().create_future()
            await self._blocked
        self.write_text(data)

    async def send_bytes(self, data: bytes) -> None:
        """Wait until the world says that there is room."""
        if self.closed:
            raise ConnectionResetError("the link is gone")
        sent = asyncio.get_running_loop().create_future()
        self._sending = data, sent
        await sent

    async def close(self, *, code: int, message: bytes) -> bool:
        if not self.closed:
            self.closed_with = int(code), message.decode()
            if self._alive():
                self.wire.close_by_server(*self.closed_with)
            self._end()
        return True

    def get_extra_info(self, name: str) -> Any:
        return None

    def _end(self) -> None:
        self.closed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(Closed())
        if self._sending is not None and not self._sending[1].done():
            self._sending[1].set_exception(ConnectionResetError("the link is gone"))
        if self._blocked is not None and not self._blocked.done():
            self._blocked.set_exception(ConnectionResetError("the link is gone"))
        self._sending = self._blocked = None

    def read(self) -> bool:
        """Have the server read one frame, if it waits for one."""
        wire, waiter = self.wire, self._waiter
        if wire.frozen or not wire.up or waiter is None or waiter.done():
            return False
        waiter.set_result(wire.up.popleft())
        return True

    def make_room(self) -> bool:
        """Let go on what waits for room."""
        if self.wire.frozen:
            return False
        blocked, self._blocked = self._blocked, None
        if blocked is not None and not blocked.done():
            blocked.set_result(None)
            return True
        if self._sending is None:
            return False
        (data, sent), self._sending = self._sending, None
        if sent.done():
            return False
        if self._alive():
            self.wire.send_down(data)
        sent.set_result(None)
        return True
