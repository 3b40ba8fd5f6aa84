"""One relayed request: on to the server, and its answer back, piece by piece.

Touches the connections that it is given. What the server itself refuses comes as a problem of the
relay, so that no job takes it for an answer of the program behind it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from remote_agent.connection.endpoint import Endpoint
from remote_agent.relay import wire
from remote_agent.relay.listener import Client, Refused, answer_head
from remote_agent.relay.upstream import Connection, ServerAway, TlsCache, connect
from remote_protocol.attempt_id import AttemptId
from remote_protocol.relay import MAX_RELAYED, METHOD, STATUS, TARGET, unwrapped, wrapped

SENT_WITHIN: Final = 30.0
"""Seconds without a byte of a job's body after which its request is given up."""
_MOST_SAID: Final = 64 * 1024
_OWN: Final = frozenset({400, 403, 408, 413, 502, 503, 504})
"""Refusals of the server that mean the same to the job."""


class Exchange:
    """Has the requests of attempts answered by the server at this `endpoint`, which may change."""

    def __init__(self, endpoint: Callable[[], Endpoint]) -> None:
        self._endpoint = endpoint
        self._tls = TlsCache()

    async def forward(
        self, key: AttemptId, client: Client, head: wire.Head, target: str, length: int
    ) -> bool:
        """Answer a request of an attempt; whether the client's connection stays.

        BadMessage, Refused, ServerAway, TimeoutError before the answer has begun.
        """
        connection = await self._connection(client)
        sending = asyncio.ensure_future(self._send(key, client, connection, head, target, length))
        try:
            response = await self._answer(connection, sending)
            stays = await self._pass_on(client, connection, head, response)
            whole = sending.done() and sending.exception() is None
        except BaseException:
            client.upstream = None
            connection.close()
            raise
        finally:
            if not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        if not whole or not response.keeps:
            client.upstream = None
            connection.close()
        connection.used_at = time.monotonic()
        return stays and whole and head.keeps

    async def _connection(self, client: Client) -> Connection:
        endpoint, kept = self._endpoint(), client.upstream
        if kept is not None and kept.usable and kept.endpoint == endpoint:
            return kept
        if kept is not None:
            kept.close()
        client.upstream = await connect(endpoint, self._tls)
        return client.upstream

    async def _send(
        self,
        key: AttemptId,
        client: Client,
        connection: Connection,
        head: wire.Head,
        target: str,
        length: int,
    ) -> None:
        """The whole request. BadMessage for a body that is none, OSError when the server is
        gone."""
        endpoint, writer = connection.endpoint, connection.writer
        parts = urlsplit(endpoint.url)
        chunked = length == wire.CHUNKED
        headers = [
            ("Host", parts.netloc),
            ("Authorization", f"Bearer {endpoint.token}"),
            ("User-Agent", "remote-agent"),
            ("Content-Type", "application/octet-stream"),
            ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(length)),
            (METHOD, head.words[0]),
            (TARGET, target),
            *wrapped(head.headers),
        ]
        path = f"{parts.path.rstrip('/')}/api/v1/agent/relay/{key}"
        writer.write(wire.head_of(f"POST {path} HTTP/1.1", headers))
        if length and head.get("expect").lower() == "100-continue":
            client.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            async for piece in wire.body(client.reader, length, MAX_RELAYED, SENT_WITHIN):
                writer.write(wire.chunk(piece) if chunked else piece)
                await writer.drain()
        except TimeoutError:
            raise wire.BadMessage("the body came too slowly, or not at all", 408) from None
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _answer(self, connection: Connection, sending: asyncio.Future[None]) -> wire.Head:
        """The head of the server's answer, which may come before the request is complete."""
        reading = asyncio.ensure_future(wire.read_response(connection.reader))
        try:
            waiting: list[asyncio.Future[Any]] = [sending, reading]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and isinstance(sending.exception(), wire.BadMessage):
                await sending
            response = await _answered(reading)
        except OSError as error:
            raise ServerAway(_cut(error)) from None
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        if response is None:
            raise ServerAway("the server closed the connection without an answer; try again")
        return response

    async def _pass_on(
        self, client: Client, connection: Connection, head: wire.Head, response: wire.Head
    ) -> bool:
        """The answer, to the job. Refused for what the server says itself."""
        code = response.get(STATUS.lower())
        if response.words[0] != "200" or not (len(code) == 3 and code.isdecimal()):
            raise await _refusal(connection, response)
        status, method = int(code), head.words[0]
        native = wire.length_of_response(response, "POST")
        chunked = native < 0 and head.minor == 1
        framing = ("Content-Length", str(native))
        if native < 0:
            framing = ("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")
        if method == "HEAD" or status in (204, 304):
            framing = ("", "")
        client.answered = True
        client.writer.write(answer_head(status, unwrapped(response.headers), framing))
        try:
            async for piece in wire.body(connection.reader, native, MAX_RELAYED):
                if framing[0]:
                    client.writer.write(wire.chunk(piece) if chunked else piece)
                    await client.drain()
        except (OSError, wire.BadMessage):
            # Without its end: the job must not take it for a complete one.
            client.writer.transport.abort()
            raise
        if chunked and framing[0]:
            client.writer.write(b"0\r\n\r\n")
        await client.drain()
        return native >= 0 or chunked


async def _answered(reading: asyncio.Future[wire.Head | None]) -> wire.Head | None:
    """The head of an answer. Refused for one that is not taken: the job is not at fault."""
    try:
        head = await reading
        if head is not None:
            wire.length_of_response(head, "POST")
    except wire.BadMessage as error:
        raise Refused(502, f"the answer is not taken: {error}") from None
    return head


async def _refusal(connection: Connection, response: wire.Head) -> Refused:
    """What the server, or a proxy on the way to it, says in place of an answer."""
    status, said = int(response.words[0]), b""
    try:
        length = wire.length_of_response(response, "POST")
        async for piece in wire.body(connection.reader, length, _MOST_SAID):
            said += piece
    except (OSError, wire.BadMessage):
        said = b""
    detail = f"the server answered {status}"
    try:
        body = json.loads(said)
    except ValueError:
        body = None
    own = isinstance(body, dict) and isinstance(body.get("detail"), str)
    if own:
        detail = body["detail"] if status in _OWN else f"{detail}: {body['detail']}"
    if own and status in _OWN:
        return Refused(status, detail)
    return Refused(503 if status in (429, 502, 503, 504) else 502, detail)


def _cut(error: OSError) -> str:
    cause = error.strerror or type(error).__name__
    return f"the connection to the server was cut ({cause}); try again"
