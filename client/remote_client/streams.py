"""Long answers that are followed over broken links: events, the audit, an agent's own log.

Touches the network through the transport only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from remote_client.connection import Response
from remote_client.errors import EventsLost, NotOurs, Unreachable
from remote_client.paths import given
from remote_client.transport import MAX_FAILURES, Document, Transport


class Bridge:
    """Over how many broken links in a row one stream has gone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._failures = 0

    def carried(self) -> None:
        """Something came over this link."""
        self._failures = 0

    async def cross(self, error: Unreachable | None) -> None:
        """Wait before the next link; `error`: how the last one broke, None: it ended too early.
        Raises it when there is no hope: it is not our server, it was never reached, or it has
        failed too often."""
        if error is not None:
            hopeless = isinstance(error, NotOurs) or not self._transport.reached
            if hopeless or self._failures >= MAX_FAILURES:
                raise error
        await self._transport.pause(self._failures, error)
        self._failures += 1


async def numbered(
    transport: Transport,
    path: str,
    number: str,
    after: int,
    follow: bool,
    filters: Mapping[str, object],
) -> AsyncGenerator[Document, None]:
    """Documents that count themselves, by the field `number`. Without `follow` it is over at the
    server's own mark: a proxy ends what was cut, too. EventsLost when some are kept no longer."""
    bridge = Bridge(transport)
    while True:
        why: Unreachable | None = None
        try:
            params = given(after=after, follow="true" if follow else None, **filters)
            async with aclosing(_lines_of_one_answer(transport, path, params)) as lines:
                async for line in lines:
                    if line.get("event") == "end":
                        return
                    if line.get("event") == "gap":
                        raise EventsLost(after, int(line["next"]))
                    if isinstance(line.get(number), int):
                        after = line[number]
                        bridge.carried()
                        yield line
        except Unreachable as error:
            why = error
        await bridge.cross(why)


async def _lines_of_one_answer(
    transport: Transport, path: str, params: Mapping[str, str | list[str]]
) -> AsyncGenerator[Document, None]:
    pending = b""
    async with aclosing(transport.stream(path, params, "application/x-ndjson")) as pieces:
        async for piece, _ in pieces:
            *lines, pending = (pending + (piece or b"")).split(b"\n")
            for line in lines:
                if line.strip():
                    yield json.loads(line)


async def own_log(
    transport: Transport, path: str, tail: int | None, follow: bool
) -> AsyncGenerator[bytes, None]:
    """The bytes of an agent's own log, or its last lines; with `follow` what comes, for ever."""
    start, bridge = given(tail=tail), Bridge(transport)
    while True:
        why: Unreachable | None = None
        offset = size = None
        try:
            params = {**start, **given(follow="true" if follow else None)}
            async with aclosing(transport.stream(path, params, "text/plain")) as pieces:
                async for piece, head in pieces:
                    if offset is None and head is not None:
                        offset, size = _place(head, "offset"), _place(head, "size")
                    if piece and offset is not None:
                        offset += len(piece)
                        bridge.carried()
                        start = given(offset=offset)
                        yield piece
            # The end of an answer proves nothing: a proxy ends one that was cut, too.
            if not follow and (offset or 0) >= (size or 0):
                return
        except Unreachable as error:
            why = error
        await bridge.cross(why)


async def artifact(
    transport: Transport, path: str, attempt: int | None, offset: int
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file that a job gave back, from `offset` to its end."""
    bridge, size = Bridge(transport), -1
    while True:
        why: Unreachable | None = None
        try:
            params = given(attempt=attempt, offset=offset)
            answer = transport.stream(path, params, "application/octet-stream")
            async with aclosing(answer) as pieces:
                async for piece, head in pieces:
                    if size < 0 and head is not None:
                        text = head.headers.get("remote-artifact-size", "")
                        size = int(text) if text.isdecimal() else -1
                    if piece:
                        offset += len(piece)
                        bridge.carried()
                        yield piece
            if offset >= size:
                return
        except Unreachable as error:
            why = error
        await bridge.cross(why)


def _place(head: Response, what: str) -> int:
    """Where an answer with an agent's log begins, or where the log ended then."""
    text = head.headers.get(f"remote-log-{what}", "")
    return int(text) if text.isdecimal() else 0
