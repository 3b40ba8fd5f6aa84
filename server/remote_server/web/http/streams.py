"""Long answers that are being sent: how many, for whom, and for how long they may go on.

A token that was revoked or has expired ends its streams, and a session of a browser those of its
pages: at once when this server ended it, and within seconds when it expired or was ended past this
server.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog

from remote_protocol.errors import ErrorCode
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Token
from remote_server.web.http.problems import ApiProblem
from remote_server.web.http.turns import Turns

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the tokens and sessions of all streams."""
AT_ONCE: Final = 2
"""Streams that work on their next piece in the same turn of the loop: a thousand readers must not
make everybody else wait for a thousand pieces."""


class Judges(NamedTuple):
    """Who says why a stream may not go on; None while it may."""

    token: Callable[[Token], Awaitable[ApiProblem | None]]
    session: Callable[[str], Awaitable[ApiProblem | None]]
    """By the hash of its secret."""


_log = structlog.get_logger("remote_server.web")


@dataclass(eq=False, slots=True)
class OpenStream:
    """One long answer."""

    token: Token
    cut: Callable[[], None]
    """Breaks it off."""
    session: str = ""
    """The hash of the session whose page it belongs to; empty: of none."""


class Streams:
    """All long answers of the server."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._open: set[OpenStream] = set()
        self._of: Counter[str] = Counter()
        self._look = asyncio.Event()
        self.turns = Turns(AT_ONCE)
        """Held while a piece is made, not while it is sent."""

    @contextmanager
    def admit(self, token: Token, cut: Callable[[], None], session: str = "") -> Iterator[None]:
        """Count one stream while the block runs; see OpenStream. ApiProblem when there are too
        many."""
        if self._of[token.id] >= self._most_each:
            raise ApiProblem(
                ErrorCode.TOO_MANY_REQUESTS,
                f"{self._of[token.id]} logs or events are being read with the token "
                f"{token.name!r} already, the most that [limits] max_followers_each allows; try "
                "again later",
                headers={"Retry-After": "10"},
            )
        if len(self._open) >= self._most:
            raise ApiProblem(
                ErrorCode.OVERLOADED,
                f"{len(self._open)} viewers read logs or events already, the most that [limits] "
                "max_followers allows; try again later",
                headers={"Retry-After": "10"},
            )
        if token.expires_at is not None:
            # The next look may have to come sooner than was thought.
            self._look.set()
        stream = OpenStream(token, cut, session)
        self._open.add(stream)
        self._of[token.id] += 1
        try:
            yield
        finally:
            self._open.discard(stream)
            self._of[token.id] -= 1
            if not self._of[token.id]:
                del self._of[token.id]

    @hears("tokens", "sessions")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit: some token or session may have ended, so look now."""
        if changes.tokens or changes.sessions:
            self._look.set()

    async def run(self, judges: Judges) -> None:
        """End streams that may not go on, for as long as the server runs."""
        while True:
            try:
                async with asyncio.timeout(self._until(time.time())):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            await self.look(judges)

    def _until(self, now: float) -> float:
        ends = (s.token.expires_at for s in self._open if s.token.expires_at is not None)
        return min(LOOK_EVERY, max(0.05, min(ends, default=now + LOOK_EVERY) - now))

    async def look(self, judges: Judges) -> None:
        """End the streams whose tokens or sessions do not hold."""
        for session in {stream.session for stream in self._open if stream.session}:
            refused = await judges.session(session)
            if refused is not None:
                self._cut([s for s in self._open if s.session == session], refused)
        for token in {stream.token.id: stream.token for stream in self._open}.values():
            refused = await judges.token(token)
            if refused is not None:
                self._cut([s for s in self._open if s.token.id == token.id], refused)

    def _cut(self, streams: list[OpenStream], refused: ApiProblem) -> None:
        for stream in streams:
            stream.cut()
        if streams:
            _log.info("streams ended", token=streams[0].token.name, reason=refused.detail)
