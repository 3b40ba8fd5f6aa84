"""Stored logs as a stream that survives: a broken link or a restarted server costs no byte.

The offset is all the state there is. The end of an answer proves nothing: a proxy that was cut off
from the server may end its own answer in good order. A log is over when the server says so in a
message that cannot be cut unnoticed: an answer's head, or a whole JSON document. Touches the
network through the transport only.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Final

from remote_client.connection import Response
from remote_client.errors import NotOurs, Unreachable
from remote_client.modes import iterate
from remote_client.transport import MAX_FAILURES, Call, Document, Transport
from remote_protocol import cri

CRI_LOG: Final = "application/vnd.cri-log"
_SIZE: Final = "remote-log-size"
"""Header: bytes of the log that the server had when it began to answer."""
_OVER: Final = "remote-log-over"
"""Header: `true` when no more will come."""
_LASTED: Final = 5.0
"""Seconds after which a link that is cut was a good one: silent jobs are cut again and again."""


class StoredLog:
    """Whole CRI records of one attempt's log in large pieces; iterate once.

    `job` is the path of the job. With `follow` it ends when the attempt has ended and everything
    has come. A broken link or a restarted server is bridged: it goes on at the byte where it broke.
    """

    def __init__(
        self, transport: Transport, job: str, attempt: int | None, offset: int, follow: bool
    ) -> None:
        self.attempt = attempt
        """Its number, known with the first piece at the latest; 0 when there was none."""
        self.offset = offset
        """Bytes that were given, or left out at the beginning."""
        self.size = 0
        """Bytes of it that the server had when it last answered with the number."""
        self.idle: float | None = None
        """Seconds of silence after which an empty piece is given, again and again."""
        self.ended: Callable[[Document], bool] = self._has_ended
        """Asked with the job, when the answer has ended, whether the log is over. Replaceable by
        who wants to see that document."""
        self._transport = transport
        self._job = job
        self._follow = follow
        self._pending = b""
        self._failures = 0
        self._head = Response(200)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        over = False
        while not over:
            began, known = time.monotonic(), self.position
            why: Unreachable | None = None
            try:
                async with aclosing(self._answer(self._follow)) as pieces:
                    async for piece in pieces:
                        yield piece
                over = self._whole()
                if self._follow:
                    document = await self._transport.document(
                        Call("GET", self._job, persistent=True)
                    )
                    over = self.ended(document)
                    if not over:
                        # The job does not tell: a lost attempt's log has the size that it has.
                        async with aclosing(self._answer(follow=False)) as pieces:
                            async for piece in pieces:
                                yield piece
                        over = self._head.headers.get(_OVER) != "false" and self._whole()
                if over:
                    return
            except Unreachable as error:
                if isinstance(error, NotOurs) or not self._transport.reached:
                    raise
                why = error
            if self.position > known or time.monotonic() - began > _LASTED:
                self._failures = 0
            if self._failures >= MAX_FAILURES and why is not None:
                raise why
            await self._transport.pause(self._failures, why)
            self._failures += 1

    @property
    def position(self) -> int:
        """Bytes that have come, a record that is cut among them."""
        return self.offset + len(self._pending)

    async def _answer(self, follow: bool) -> AsyncGenerator[bytes, None]:
        """One answer, as far as it goes."""
        params: dict[str, str | list[str]] = {"offset": str(self.position)}
        if self.attempt is not None:
            params["attempt"] = str(self.attempt)
        if follow:
            params["follow"] = "true"
        self._head = Response(200)
        answer = self._transport.stream(f"{self._job}/log", params, CRI_LOG, self.idle)
        async with aclosing(answer) as pieces:
            async for piece, response in pieces:
                if response is not None:
                    self._head = response
                    if self.attempt is None:
                        # The last attempt may be another one when a broken link comes back.
                        self.attempt = _attempt(response)
                if piece is None:
                    yield b""
                    continue
                self._pending = self._pending + piece if self._pending else piece
                cut = cri.complete(self._pending)
                if cut:
                    self.offset += cut
                    whole, self._pending = self._pending[:cut], self._pending[cut:]
                    yield whole

    def _whole(self) -> bool:
        """Whether everything has come that the server had when it began to answer."""
        size = self._head.headers.get(_SIZE, "")
        if not size.isdecimal():
            return True
        self.size = int(size)
        return self.position >= self.size

    def _has_ended(self, job: Document) -> bool:
        return log_is_over(job, self.attempt, self.position)


class BlockingLog(StoredLog):
    """The same over a network that blocks."""

    def __iter__(self) -> Iterator[bytes]:
        return iterate(self.__aiter__())


def _attempt(head: Response) -> int | None:
    number = head.headers.get("remote-attempt", "")
    return int(number) or None if number.isdecimal() else None


def log_is_over(job: Document, attempt: int | None, size: int) -> bool:
    """Whether an attempt has ended with a complete log of this size, by what the job says."""
    if attempt is None:
        return job["state"] in ("succeeded", "failed", "cancelled") and not job.get("attempt")
    return any(
        one["number"] == attempt
        and one["state"] == "ended"
        and one.get("log_complete")
        and one.get("log_size") == size
        for one in job.get("attempts", ())
    )
