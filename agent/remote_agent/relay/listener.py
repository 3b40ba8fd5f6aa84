"""The loopback endpoint of one attempt: takes its job's requests, and has them answered.

Touches one listening socket and its connections. Who knows the secret in the path is the job; all
others are told nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import structlog

from remote_agent.relay import wire
from remote_agent.relay.upstream import Connection, ServerAway
from remote_protocol.relay import (
    AT_ONCE,
    LONGEST,
    MAX_RELAYED,
    METHODS,
    STALL,
    TargetRefused,
    check_target,
    passed_on,
)

log = structlog.get_logger("relay")

MOST_CONNECTIONS: Final = 64
"""Connections of one job."""
HEAD_WITHIN: Final = 20.0
"""Seconds within which a head is complete, once it has begun to come."""
IDLE: Final = 75.0
"""Seconds for which a job's idle connection is kept."""


class Refused(Exception):
    """A request is not relayed: a status, and a sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Client:
    """One connection of the job, with the one to the server that goes with it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.upstream: Connection | None = None
        self.answered = False
        """The answer to the present request has begun: an error can only break it off."""

    async def drain(self) -> None:
        """Wait until the job has read. TimeoutError."""
        async with asyncio.timeout(STALL):
            await self.writer.drain()

    def close(self) -> None:
        """Both ends."""
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None
        self.writer.close()


Forward = Callable[[Client, wire.Head, str, int], Awaitable[bool]]
"""Have a request with this target and length of body answered; whether the connection stays."""


class Slots:
    """Requests of all attempts of the agent, which are bounded."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0


class Listener:
    """The endpoint of one attempt, with its `secret`; `close` is called at its end."""

    def __init__(self, raw: socket.socket, secret: str, slots: Slots, forward: Forward) -> None:
        self._raw = raw
        self._secret = secret.encode()
        self._slots = slots
        self._forward = forward
        self._active = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.Task[None], Client] = {}
        """Connections that have not shown the secret yet, the oldest first."""
        self._server: asyncio.Server | None = None
        self._closed = False
        self._opening = asyncio.ensure_future(self._open())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._raw, limit=wire.PIECE)

    def close(self) -> None:
        """Take no more, and cut what is under way."""
        if self._closed:
            return
        self._closed = True
        self._opening.cancel()
        if self._server is not None:
            self._server.close()
        else:
            self._raw.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._strangers[task] = client = Client(reader, writer)
        try:
            if self._closed:
                return
            if len(self._tasks) > MOST_CONNECTIONS and not self._makes_room(task):
                text = f"the relay of a job takes {MOST_CONNECTIONS} connections; close some"
                writer.write(problem(503, text, close=True))
                return
            while await self._next(client):
                pass
        except (OSError, TimeoutError):
            pass  # the job has left, or said nothing any more
        except asyncio.CancelledError:
            if not self._closed:
                raise
        finally:
            self._tasks.discard(task)
            self._strangers.pop(task, None)
            client.close()

    def _makes_room(self, task: asyncio.Task[None]) -> bool:
        """End the oldest connection that has not shown the secret: whoever is on this host can
        open as many as they like, and the job is not to wait for them."""
        oldest = next(iter(self._strangers))
        if oldest is task:
            return False
        # Not by cancelling its task, which asyncio would take for a fault.
        self._strangers.pop(oldest).writer.transport.abort()
        return True

    async def _next(self, client: Client) -> bool:
        """Answer one request; whether there may be another one on this connection."""
        client.answered = False
        try:
            head = await self._head(client)
            if head is None:
                return False
            return await self._admit(client, head)
        except (wire.BadMessage, Refused) as error:
            return await self._refuse(client, error.status, str(error))
        except ServerAway as error:
            return await self._refuse(client, 503, str(error))

    async def _head(self, client: Client) -> wire.Head | None:
        async with asyncio.timeout(IDLE):
            # Wait for the first byte alone, so that a slow head has a time of its own.
            first = await client.reader.read(1)
        if not first:
            return None
        try:
            async with asyncio.timeout(HEAD_WITHIN):
                return await wire.read_request(client.reader, first)
        except TimeoutError:
            raise wire.BadMessage("the head of the request came too slowly", 408) from None

    async def _admit(self, client: Client, head: wire.Head) -> bool:
        method, target = head.words
        secret, slash, rest = target[1:].partition("/")
        known = hmac.compare_digest(secret.encode(), self._secret)
        if not (target.startswith("/") and known):
            raise Refused(404, "there is nothing here; use the address in REMOTE_RELAY_URL whole")
        if (task := asyncio.current_task()) is not None:
            self._strangers.pop(task, None)
        if method not in METHODS:
            raise Refused(501, f"the method {method} is not relayed")
        try:
            check_target(slash + rest or "/")
        except TargetRefused as error:
            raise Refused(403, str(error)) from None
        length = wire.length_of_request(head)
        if length > MAX_RELAYED:
            raise wire.BodyTooLarge(MAX_RELAYED)
        if self._active >= AT_ONCE:
            raise Refused(
                503, f"{AT_ONCE} requests of this job are under way; send fewer at a time"
            )
        if self._slots.taken >= self._slots.most:
            raise Refused(
                503, f"{self._slots.most} requests of this agent's jobs are under way; try again"
            )
        self._active += 1
        self._slots.taken += 1
        try:
            async with asyncio.timeout(LONGEST):
                return await self._forward(client, head, slash + rest or "/", length)
        except TimeoutError:
            raise Refused(504, "nothing came for too long; try again") from None
        finally:
            self._active -= 1
            self._slots.taken -= 1

    async def _refuse(self, client: Client, status: int, detail: str) -> bool:
        """Say why a request is not answered, and end the connection: its body may be unread."""
        if client.answered:
            return False
        client.writer.write(problem(status, detail, close=True))
        await client.drain()
        with suppress(OSError, TimeoutError):
            # A job that still sends would have its answer reset before it reads it.
            if client.writer.can_write_eof():
                client.writer.write_eof()
            async with asyncio.timeout(1):
                for _ in range(256):
                    if not await client.reader.read(wire.PIECE):
                        break
        return False


def problem(status: int, detail: str, *, close: bool = False) -> bytes:
    """A refusal as a whole response (RFC 9457)."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"title": title, "status": status, "detail": f"relay: {detail}"}).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        *([("Retry-After", "1")] if status == 503 else []),
        *([("Connection", "close")] if close else []),
    ]
    return wire.head_of(f"HTTP/1.1 {status} {title}", headers) + body


def answer_head(status: int, headers: list[tuple[str, str]], framing: tuple[str, str]) -> bytes:
    """The head of an answer that is passed on."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = ""
    kept = [*passed_on(headers), *([framing] if framing[0] else [])]
    return wire.head_of(f"HTTP/1.1 {status} {title}", kept)
