"""Starts attempts whose jobs name contents: fetches what this host lacks, places copies, starts.

May touch the cache of contents, the folders of attempts, and the link by what it is given. A
content is fetched once, whoever needs it. Nothing is remembered but what is on the disk: after
a cut, or a restart of either side, it goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from remote_agent.errors import os_words
from remote_agent.journal.content_files import ContentFiles
from remote_agent.journal.directory import BadFile
from remote_agent.local.content_cache import ContentCache
from remote_agent.session.content_fetch import ContentFetch
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk
from remote_protocol.contents import ContentRef
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import AgentMessage, ContentLost, ReadContent
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from remote_protocol.units import format_duration

log = structlog.get_logger("contents")

AT_ONCE: Final = 2
"""Contents that are fetched at a time."""
SAID_EVERY: Final = 15.0
"""Seconds after which the server is told again that an attempt waits for its files."""
NO_PROGRESS: Final = 600.0
"""Seconds with a link in which nothing of a content comes: then the attempts that wait for it end
before they start."""
MOST_TRIES: Final = 3
"""Times that files are put into place which were gone from the cache meanwhile."""


class Refuser(Protocol):
    """Who ends attempts before they start (the runner)."""

    def refuse(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it before it starts."""


@dataclass(slots=True)
class _Waiting:
    """An attempt that waits for its files."""

    spec: JobSpec
    contents: list[ContentRef]
    start: Callable[[], None]
    said_at: float = field(default=float("-inf"))
    placing: bool = False
    tries: int = 0


class ContentStart:
    """All attempts that wait for their files."""

    def __init__(
        self,
        cache: ContentCache,
        files: ContentFiles,
        send: Callable[[AgentMessage], None],
        refuser: Refuser,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._files = files
        self._send = send
        self._refuser = refuser
        self._now = now
        self._waiting: dict[AttemptId, _Waiting] = {}
        self._fetches: dict[ContentRef, ContentFetch] = {}
        self._by: dict[ContentRef, AttemptId] = {}
        """For which attempt each is asked for."""
        self._moved: dict[ContentRef, float] = {}
        """When something of each came last, while there was a link."""
        self._finishing: set[ContentRef] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._online = False

    @property
    def waiting(self) -> int:
        """Attempts that wait for their files."""
        return len(self._waiting)

    def prepare(self, key: AttemptId, spec: JobSpec, start: Callable[[], None]) -> None:
        """Have the attempt's files put into place, then call `start`."""
        if key in self._waiting:
            return
        try:
            self._cache.prepare()
            if self._files.placed(key):
                start()
                return
        except OSError as error:
            self._refuse(key, f"its files cannot be prepared: {os_words(error, 'the state')}")
            return
        self._waiting[key] = _Waiting(spec, spec.contents, start)
        self._advance()

    def drop(self, key: AttemptId) -> None:
        """The attempt needs no files any more."""
        if self._waiting.pop(key, None) is None:
            return
        for content, by in list(self._by.items()):
            if by == key:
                del self._by[content]
                if (fetch := self._fetches.get(content)) is not None:
                    fetch.again()
        self._advance()
        # What has come of its files may be too much of what nobody waits for.
        self._spawn(self._trim())

    def begin(self) -> None:
        """There is a link, and the server has welcomed it."""
        self._online = True
        now = self._now()
        for content, fetch in self._fetches.items():
            fetch.again()
            self._moved[content] = now
        self._advance()
        self._say(now, at_once=True)

    def stop(self) -> None:
        """There is no link."""
        self._online = False

    def turn(self) -> None:
        """About a second went by."""
        now = self._now()
        for content in list(self._fetches):
            busy = content in self._finishing or not self._online
            if busy:
                self._moved[content] = now
            elif now - self._moved.get(content, now) > NO_PROGRESS:
                quiet = format_duration(NO_PROGRESS)
                self._give_up(
                    content,
                    f"nothing of one of its files came from the server for {quiet}; submit it "
                    "again, and see the server's log if that happens again",
                )
        self._advance()
        self._say(now)

    def received(self, chunk: ContentChunk) -> None:
        """A piece came."""
        waiting = self._waiting.get(chunk.attempt)
        if waiting is None or chunk.number > len(waiting.contents):
            return
        content = waiting.contents[chunk.number - 1]
        fetch = self._fetches.get(content)
        if fetch is None or content in self._finishing:
            return
        now, at = self._now(), fetch.have
        skip = fetch.received(chunk.offset, len(chunk.payload), now)
        if skip is None:
            return
        try:
            self._cache.append(content, at, chunk.payload[skip:])
        except OSError as error:
            self._give_up(content, f"a file of it cannot be written: {os_words(error, 'the disk')}")
            return
        self._moved[content] = now
        self._advance()

    def lost(self, message: ContentLost) -> None:
        """The server cannot give a content."""
        if message.attempt in self._waiting:
            self._refuse(message.attempt, message.reason)

    # What is done about it ---------------------------------------------------------------

    def _advance(self) -> None:
        for key, waiting in list(self._waiting.items()):
            missing = [one for one in waiting.contents if not self._cache.has(one)]
            if not missing and not waiting.placing:
                waiting.placing = True
                self._spawn(self._place(key, waiting))
            for content in missing:
                self._want(key, content)
        wanted = {one for waiting in self._waiting.values() for one in waiting.contents}
        for content in [one for one in self._fetches if one not in wanted]:
            if content not in self._finishing:
                self._forget(content)
        now = self._now()
        for content, fetch in list(self._fetches.items()):
            if fetch.complete and content not in self._finishing:
                self._finishing.add(content)
                self._spawn(self._finish(content, fetch))
            elif self._online and content not in self._finishing:
                self._ask(content, fetch, now)

    def _want(self, key: AttemptId, content: ContentRef) -> None:
        """Fetch a content for an attempt, when its turn has come."""
        self._by.setdefault(content, key)
        if content in self._fetches or len(self._fetches) >= AT_ONCE:
            return
        try:
            lack = self._cache.lacking(content, self._needed)
        except OSError as error:
            lack = f"the files of jobs cannot be kept: {os_words(error, 'the state directory')}"
        if lack:
            self._give_up(content, lack)
            return
        now = self._now()
        self._fetches[content] = ContentFetch(content, self._cache.length(content), now)
        self._moved[content] = now

    def _ask(self, content: ContentRef, fetch: ContentFetch, now: float) -> None:
        key = self._by.get(content)
        if key not in self._waiting:
            key = next((k for k, one in self._waiting.items() if content in one.contents), None)
            if key is None:
                return
            self._by[content] = key
        waiting = self._waiting[key]
        number = waiting.contents.index(content) + 1
        for offset, size in fetch.requests(now):
            waiting.said_at = now
            self._send(ReadContent(attempt=key, number=number, offset=offset, size=size))

    def _say(self, now: float, at_once: bool = False) -> None:
        """Tell the server which attempts wait, and how far they are."""
        for key, waiting in self._waiting.items() if self._online else ():
            if not at_once and now - waiting.said_at < SAID_EVERY:
                continue
            waiting.said_at = now
            number, offset = len(waiting.contents), waiting.contents[-1].size
            for at, content in enumerate(waiting.contents, start=1):
                if not self._cache.has(content):
                    number, offset = at, self._cache.length(content)
                    break
            self._send(ReadContent(attempt=key, number=number, offset=offset, size=0))

    async def _finish(self, content: ContentRef, fetch: ContentFetch) -> None:
        try:
            good = await asyncio.to_thread(self._cache.finish, content)
        except OSError as error:
            self._finishing.discard(content)
            self._give_up(content, f"a file of it cannot be kept: {os_words(error, 'the disk')}")
            return
        self._finishing.discard(content)
        if good:
            self._forget(content)
        elif not fetch.wrong():
            self._give_up(
                content, "one of its files came damaged from the server, several times; see its log"
            )
        self._advance()

    async def _place(self, key: AttemptId, waiting: _Waiting) -> None:
        fault = ""
        try:
            await asyncio.to_thread(self._files.place, key, waiting.spec, self._cache.open)
        except FileNotFoundError:
            # Somebody has removed one of them from the cache: it is fetched again.
            waiting.tries += 1
            fault = "its files were removed from this host again and again"
            fault = fault if waiting.tries >= MOST_TRIES else ""
            waiting.placing = False
            if not fault:
                self._advance()
                return
        except BadFile as error:
            fault = str(error)
        except OSError as error:
            fault = f"its files cannot be put into place: {os_words(error, 'the disk')}"
        if self._waiting.get(key) is not waiting:
            return
        if fault:
            self._refuse(key, fault)
            return
        del self._waiting[key]
        waiting.start()
        await self._trim()
        self._advance()

    async def _trim(self) -> None:
        try:
            await asyncio.to_thread(self._cache.trim, self._needed)
        except OSError as error:
            log.warning("contents cannot be removed", reason=error.strerror)

    def _needed(self, digest: str) -> bool:
        """Whether an attempt waits for a content. Also called in threads, so of a copy."""
        return any(
            one.digest == digest
            for waiting in tuple(self._waiting.values())
            for one in waiting.contents
        )

    def _forget(self, content: ContentRef) -> None:
        for known in (self._fetches, self._by, self._moved):
            known.pop(content, None)

    def _give_up(self, content: ContentRef, why: str) -> None:
        """End the attempts that wait for a content."""
        self._forget(content)
        for key, waiting in list(self._waiting.items()):
            if content in waiting.contents:
                self._refuse(key, why)
        self._spawn(self._trim())

    def _refuse(self, key: AttemptId, why: str) -> None:
        self._waiting.pop(key, None)
        log.warning("a job is not started", attempt=str(key), reason=why)
        self._refuser.refuse(key, EndReason.SPAWN_ERROR, why[:MAX_TEXT])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
