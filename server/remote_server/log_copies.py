"""The loop that copies the logs of jobs that have ended into a bucket, for people and programs.

A copy is a `.tgz` with what each attempt of a job has printed. It is no part of what the server
keeps: nothing is read from there, and nothing waits for it. What has been copied is remembered in
the database, by the number of the event with which a job ended; so nothing is left out, whatever is
killed, and a copy may be made twice.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from tarfile import TarInfo
from typing import Final, NamedTuple, Protocol

import structlog

from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import TERMINAL
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Job
from remote_server.errors import NotFound, ServerError
from remote_server.logs import Logs, LogUnavailable
from remote_server.logs.packed import Damaged
from remote_server.store import Store

_MARK: Final = "log copies"
_PAGE: Final = 200
_LOOK: Final = 30.0
"""Seconds between two looks at the events, at the most."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 600.0
_TAR_BLOCK: Final = 512
_LEVEL: Final = 6
_LONGEST_PART: Final = 128
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Place(Protocol):
    """Where copies go."""

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        """Store an object whole; `content` is read in a thread. ServerError."""

    def close(self) -> None:
        """Begin nothing more."""


class Member(NamedTuple):
    """A file in a copy."""

    name: str
    size: int
    at: float
    """Unix seconds."""
    content: Iterator[bytes]


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, at least one."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 20))


class LogCopies:
    """Copies logs to `place`. `run` is its loop, `committed` hears of ends."""

    def __init__(
        self,
        store: Store,
        logs: Logs,
        place: Place,
        pause: Callable[[int], float] = pause_after,
    ) -> None:
        self._store = store
        self._logs = logs
        self._place = place
        self._pause = pause
        self._ended = asyncio.Event()
        self._failures = 0
        self._log = structlog.get_logger("remote_server.log_copies")

    @hears("ended")
    def committed(self, changes: ChangeSet) -> None:
        """Some jobs may have ended."""
        if changes.ended:
            self._ended.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._ended.clear()
                try:
                    more = await self._go_on()
                except (ServerError, OSError) as error:
                    await self._failed(error)
                    continue
                if not more:
                    await self._wait()
        finally:
            self._place.close()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK):
                await self._ended.wait()
        except TimeoutError:
            pass

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._logs.copy_failures += 1
        self._logs.copy_fault = str(error)
        again = self._pause(self._failures)
        self._log.warning(
            "a log cannot be copied now; the job and its log are as they were",
            cause=str(error),
            next_try_in_seconds=round(again),
        )
        await asyncio.sleep(again)

    async def _go_on(self) -> bool:
        """Copy what has ended since; whether there may be more."""
        after = await self._store.mark(_MARK)
        if after is None:
            # From now on: what ended before is not known to be wanted.
            after = await self._store.last_seq()
            await self._store.set_mark(_MARK, after)
        page = await self._store.events_page(after, _PAGE, states=TERMINAL)
        for event in page.events:
            await self._copy(event.job)
            await self._store.set_mark(_MARK, event.seq)
        if page.upto > after:
            await self._store.set_mark(_MARK, page.upto)
        return page.upto > after

    async def _copy(self, name: str) -> None:
        try:
            job = await self._store.job(name)
        except NotFound:  # retention took it meanwhile
            return
        members = []
        for number in range(1, job.attempt + 1):
            key = AttemptId(job.id, number)
            if (size := await self._measured(key)) is not None:
                content = decoded(await self._blocks(key))
                at = job.ended_at or job.created_at
                members.append(Member(f"attempt-{number}.log", size, at, content))
        if members:
            await self._place.put(name_of(job), tgz(members))
            self._logs.copied += 1
        if self._failures:
            self._failures = 0
            self._logs.copy_fault = ""
            self._log.info("logs are copied again")

    async def _measured(self, key: AttemptId) -> int | None:
        """Bytes that an attempt has printed; None: it has no log that can be read."""
        blocks = await self._blocks(key)
        try:
            return await asyncio.to_thread(lambda: sum(map(len, decoded(blocks)))) or None
        except Damaged as error:
            # It will be no better the next time.
            self._log.warning("a log cannot be read and is not copied", cause=str(error))
            return None

    async def _blocks(self, key: AttemptId) -> Iterator[bytes]:
        """The log as it is kept, for a thread."""
        if self._logs.at_hand(key):
            return iter(self._logs.store.content(key))
        return await self._logs.archived.blocks(key)


def name_of(job: Job) -> str:
    """Where the copy of a job's log is: `PIPELINE/year=Y/month=M/day=D/EXECUTION/JOB.tgz`.

    The pipeline is the job's name, or its queue. An annotation `exec_id`, with or without a prefix,
    says what the program that submitted the job calls this execution; else it is the job's id.
    """
    spec = job.spec
    day = datetime.fromtimestamp(job.ended_at or job.created_at, UTC)
    given = (v for k, v in spec.annotations.items() if k.rpartition(".")[2] == "exec_id")
    execution = next(given, job.id)
    pipeline = part_of(spec.name or spec.queue)
    return f"{pipeline}/{day:year=%Y/month=%m/day=%d}/{part_of(execution)}/{job.id}.tgz"


def part_of(text: str) -> str:
    """A text as a part of an object's name: letters, digits, dots, dashes and underscores."""
    found = "".join(c if c in _PLAIN else "_" for c in text)[:_LONGEST_PART]
    return found if found.strip(".") else f"_{found}"


def decoded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What was printed, of a log as it is kept."""
    rest = b""
    for block in blocks:
        data = rest + block
        whole = cri.complete(data)
        rest = data[whole:]
        if found := cri.decode(data[:whole]):
            yield found


def tgz(members: Iterable[Member]) -> Iterator[bytes]:
    """A compressed tar file, piece by piece. LogUnavailable when a member is not as long as it was
    said to be: something has changed it meanwhile."""
    press = zlib.compressobj(_LEVEL, wbits=zlib.MAX_WBITS | 16)
    for member in members:
        head = TarInfo(member.name)
        head.size, head.mtime, head.mode = member.size, int(member.at), 0o600
        yield press.compress(head.tobuf())
        size = 0
        for block in member.content:
            size += len(block)
            yield press.compress(block)
        if size != member.size:
            raise LogUnavailable(f"{member.name} has changed while it was copied")
        yield press.compress(bytes(-size % _TAR_BLOCK))
    yield press.compress(bytes(2 * _TAR_BLOCK)) + press.flush()
