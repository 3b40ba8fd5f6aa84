"""Sends one agent the contents that its jobs name, as it asks for them: a range at a time.

An agent gets what an attempt that it holds names, and nothing else. Nothing is remembered of what
it has: it asks again for what did not come. Pieces leave when the socket has room for them, so that
messages pass. May read contents and write to the link's socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode_content
from remote_protocol.contents import ContentRef
from remote_protocol.limits import MAX_PAYLOAD
from remote_protocol.messages import ContentLost, ReadContent, ServerMessage
from remote_server.contents import ContentUnavailable
from remote_server.domain.links import Fetching
from remote_server.domain.session import AgentSession
from remote_server.hub.owner import Owner

MOST_ASKED: Final = 64
"""Ranges that may wait; an honest agent asks for a few. Beyond, the oldest is forgotten."""
FRESH: Final = 60.0
"""Seconds for which an attempt counts as waiting for its files after its agent has said so."""
_LOST: Final = "the server has this file of the job no longer; submit the job again, with its files"


class _Range(NamedTuple):
    key: AttemptId
    number: int
    content: ContentRef
    offset: int
    end: int


class _Progress(NamedTuple):
    number: int
    offset: int
    at: float


class ContentSender:
    """The contents that one link's agent asks for. `run` carries work beside the reading of frames,
    `failed` hears of what could not be read."""

    def __init__(
        self,
        owner: Owner,
        send: Callable[[ServerMessage], None],
        send_bytes: Callable[[bytes], Awaitable[None]],
        run: Callable[[Coroutine[Any, Any, None]], None],
        failed: Callable[[AttemptId, Exception], None],
    ) -> None:
        self._owner = owner
        self._send = send
        self._send_bytes = send_bytes
        self._run = run
        self._failed = failed
        self._asked: deque[_Range] = deque(maxlen=MOST_ASKED)
        self._sending = False
        self._progress: dict[AttemptId, _Progress] = {}

    def hear(self, session: AgentSession, message: ReadContent) -> None:
        """The agent asks for a range; an empty one says only how far it is."""
        key, number = message.attempt, message.number
        contents = session.contents_of(key)
        if not contents:
            return
        now = self._owner.clock.boot()
        if len(self._progress) > len(session.leases):
            held = session.leases
            self._progress = {key: one for key, one in self._progress.items() if key in held}
        self._progress[key] = _Progress(number, message.offset, now)
        if not message.size:
            return
        if number > len(contents):
            self._send(ContentLost(attempt=key, number=number, reason="the job names no such file"))
            return
        content = contents[number - 1]
        end = min(message.offset + message.size, content.size)
        if message.offset < end:
            self._asked.append(_Range(key, number, content, message.offset, end))
            if not self._sending:
                self._sending = True
                self._run(self._send_all())

    def fetching(self, session: AgentSession, key: AttemptId) -> Fetching | None:
        """How far the agent is that waits for the files of an attempt; None: it does not."""
        known = self._progress.get(key)
        contents = session.contents_of(key)
        if known is None or known.number > len(contents):
            return None
        if self._owner.clock.boot() - known.at > FRESH:
            return None
        before = sum(one.size for one in contents[: known.number - 1])
        return Fetching(before + known.offset, sum(one.size for one in contents))

    def close(self) -> None:
        """The link is gone."""
        self._asked.clear()
        self._progress.clear()

    async def _send_all(self) -> None:
        try:
            while self._asked:
                await self._send_range(self._asked.popleft())
        finally:
            self._sending = False

    async def _send_range(self, wanted: _Range) -> None:
        key, number, content, offset, end = wanted
        store = self._owner.contents
        try:
            while offset < end:
                data = await store.read(content.digest, offset, min(MAX_PAYLOAD, end - offset))
                if not data:
                    raise ContentUnavailable(f"the content {content.digest} is too short")
                await self._send_bytes(encode_content(key, number, offset, data))
                offset += len(data)
        except ContentUnavailable as error:
            self._failed(key, error)
            if await self._is_gone(content):
                self._send(ContentLost(attempt=key, number=number, reason=_LOST))

    async def _is_gone(self, content: ContentRef) -> bool:
        try:
            return await self._owner.contents.size(content.digest) != content.size
        except ContentUnavailable:
            return False
