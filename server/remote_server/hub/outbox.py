"""What waits to be sent to agents, and how a WebSocket is closed. Touches their sockets only."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from remote_protocol.codec import ToAgent, encode, next_frame
from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Ack, Error, ServerMessage
from remote_server.hub.socket import Socket

MOST_WAITING: Final = 20_000
"""Messages that may wait for a slow agent; beyond them its link is closed."""
SEND_TIMEOUT: Final = 60.0
"""Seconds that an agent may leave what it is sent unread."""
CLOSE_TIMEOUT: Final = 5.0
_REASON_BYTES: Final = 120
"""RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code."""


class Outgoing:
    """The outboxes that have something to send: they do so when the loop turns, or before, when
    somebody who knows that there is nothing to add asks for it."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Outbox] = []

    def add(self, outbox: Outbox) -> None:
        """Have an outbox send when the loop turns."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.send)
        self._waiting.append(outbox)

    def send(self) -> None:
        """Have them send now."""
        waiting, self._waiting = self._waiting, []
        for outbox in waiting:
            try:
                outbox.turn_over()
            except Exception as error:
                # Our own bug; it must not cost other agents what they are told.
                fault = {"message": "messages were not sent", "exception": error}
                asyncio.get_running_loop().call_exception_handler(fault)


class Outbox:
    """Messages to one agent, in order; those of one turn of the loop leave together. `slow` is
    called when it does not read them, `broken` when its socket is gone."""

    __slots__ = (
        "_begun",
        "_broken",
        "_flusher",
        "_outgoing",
        "_overdue",
        "_slow",
        "_socket",
        "_waiting",
        "flushing",
    )

    def __init__(
        self,
        wire: Socket,
        outgoing: Outgoing,
        slow: Callable[[], None],
        broken: Callable[[], None],
    ) -> None:
        self._socket = wire
        self._outgoing = outgoing
        self._slow = slow
        self._broken = broken
        self._waiting: deque[ToAgent] | None = None
        """None while nothing waits: most agents are idle, and an empty one takes 700 bytes."""
        self._flusher: asyncio.Task[None] | None = None
        self._begun: float | None = None
        """When the sending began that is not over, by the loop's clock."""
        self._overdue: asyncio.TimerHandle | None = None
        self.flushing = False
        """Somebody sends, or will before the loop turns."""

    def put(self, message: ToAgent) -> None:
        """Send a message when its turn comes."""
        waiting = self._waiting
        if waiting is None:
            waiting = self._waiting = deque()
        # By type: a model's `isinstance` runs Python, for each message that is none.
        if waiting and type(message) is Ack:
            last = waiting[-1]
            if type(last) is Ack and last.attempt == message.attempt:
                # Acks are cumulative: only the newest of a run has to travel.
                waiting[-1] = message
                return
        waiting.append(message)
        if len(waiting) > MOST_WAITING:
            self._slow()
        elif not self.flushing:
            self.flushing = True
            self._outgoing.add(self)

    def turn_over(self) -> None:
        """Send everything that waits, now or when there is room."""
        if not self.flush():
            self._flusher = asyncio.ensure_future(self.drain())

    def flush(self) -> bool:
        """Send everything that waits as far as there is room; False: `drain` has to wait for it."""
        if self._begun is not None:
            # It does already: the frame that it sends comes first.
            return False
        waiting = self._waiting
        try:
            while waiting:
                if not self._socket.room:
                    return False
                self._socket.write_text(next_frame(waiting))
        except OSError:
            # The reading side notices the end of the link, too.
            self._broken()
        self.flushing = False
        self._waiting = None
        return True

    async def drain(self) -> None:
        """Send everything that waits."""
        try:
            if self._waiting:
                self._watch()
                while self._waiting:
                    await self._socket.send_str(next_frame(self._waiting))
        except (OSError, RuntimeError):
            # The reading side notices the end of the link, too.
            self._broken()
        finally:
            self._begun = None
            self.flushing = False
            if not self._waiting:
                self._waiting = None

    def _watch(self) -> None:
        """Give the sending that begins its time. One timer looks after many of them: one for each,
        that nearly never comes due, costs more than the sending."""
        loop = asyncio.get_running_loop()
        self._begun = loop.time()
        if self._overdue is None:
            self._overdue = loop.call_at(self._begun + SEND_TIMEOUT, self._look)

    def _look(self) -> None:
        self._overdue = None
        if self._begun is None:
            return
        loop = asyncio.get_running_loop()
        ends = self._begun + SEND_TIMEOUT
        if loop.time() < ends:
            self._overdue = loop.call_at(ends, self._look)
        else:
            self._slow()

    async def send_bytes(self, frame: bytes) -> None:
        """Send a binary frame now."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._socket.send_bytes(frame)
        except TimeoutError:
            self._slow()
        except (OSError, RuntimeError):
            self._broken()

    def drop(self) -> None:
        """Send nothing more."""
        if self._waiting is not None:
            self._waiting.clear()
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
        if self._flusher is not None and self._flusher is not asyncio.current_task():
            self._flusher.cancel()

    async def close(
        self, code: CloseCode, detail: str, last: Sequence[ServerMessage], closed: asyncio.Event
    ) -> None:
        """Say `last` and why, then close the socket; `closed` is set in any case."""
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
