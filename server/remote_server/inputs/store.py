"""Inputs of jobs as files: append by offset, read anywhere, forget when the job has ended.

One file a job, `<data>/inputs/<job>.open`: raw bytes, whose number is all the state there is. The
complete input gets the name `<job>.ended`. Nothing is told to anybody before it is durable, so no
agent ever has a byte that the server could lose. May touch that folder only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from remote_protocol.errors import ErrorCode
from remote_protocol.stream import Gap, place
from remote_protocol.units import format_size
from remote_server.disk.files import make_folder, sync_folder
from remote_server.disk.group import GroupSync
from remote_server.disk.reserve import Reserve
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.errors import Conflict, ServerError

_OPEN: Final = ".open"
_ENDED: Final = ".ended"
_log = structlog.get_logger("remote_server.inputs")


class Input(NamedTuple):
    """How far an input has come: bytes that are durable here, and whether those are all."""

    size: int = 0
    ended: bool = False


class InputUnavailable(ServerError):
    """An input cannot be written or read now (disk full, no rights); trying again may help."""

    code = ErrorCode.STORE_UNAVAILABLE


class InputGap(Conflict):
    """Bytes before the part are missing: go on at the size that the text names."""

    code = ErrorCode.INPUT_GAP


class InputTooLarge(ServerError):
    """The input would grow beyond the server's limit."""

    code = ErrorCode.BODY_TOO_LARGE


Watcher = Callable[[str, Input], None]
"""Hears of every change of one job's input."""


class _Entry:
    __slots__ = ("alive_at", "lock", "state", "watchers")

    def __init__(self, state: Input, now: float) -> None:
        self.state = state
        self.alive_at = now
        """When somebody last appended, or said that more may come."""
        self.lock = asyncio.Lock()
        self.watchers: set[Watcher] = set()


class InputStore:
    """All inputs of jobs that have not ended. `clock` is monotonic seconds; `largest` the most
    bytes of one input; `durable`: what is answered is on the disk."""

    def __init__(
        self,
        root: Path,
        reserve: Reserve,
        clock: Callable[[], float],
        largest: int,
        durable: bool = True,
    ) -> None:
        self.root = root
        self._reserve = reserve
        self._clock = clock
        self._largest = largest
        self._durable = durable
        self._entries: dict[str, _Entry] = {}
        self._group = GroupSync()
        self._removals: set[asyncio.Task[None]] = set()
        self.received = 0
        """Bytes appended since the start."""

    def scan(self) -> None:
        """Find what an earlier process has left. OSError when the folder cannot be read."""
        make_folder(self.root)
        now = self._clock()
        for name in sorted(os.listdir(self.root)):
            job, _, form = name.partition(".")
            ended = f".{form}" == _ENDED
            with suppress(FileNotFoundError):
                size = (self.root / name).stat().st_size
                former = self._entries.get(job)
                if former is None or ended:
                    self._entries[job] = _Entry(Input(size, ended), now)

    def known(self) -> list[str]:
        """The jobs whose inputs are kept or awaited."""
        return list(self._entries)

    def look(self, job: str) -> Input | None:
        """How far an input has come; None when nothing of it is known here."""
        entry = self._entries.get(job)
        return None if entry is None else entry.state

    def expect(self, job: str) -> Input:
        """The job takes an input: from now on somebody must send it, or say that it will."""
        return self._entry(job).state

    def alive(self, job: str) -> None:
        """Somebody still means to send more."""
        self._entry(job).alive_at = self._clock()

    def silent(self, ttl: float) -> list[str]:
        """Jobs whose input is not complete and of which nobody has spoken for so long."""
        before = self._clock() - ttl
        return [
            job
            for job, entry in self._entries.items()
            if not entry.state.ended and entry.alive_at <= before
        ]

    def _entry(self, job: str) -> _Entry:
        entry = self._entries.get(job)
        if entry is None:
            entry = self._entries[job] = _Entry(Input(), self._clock())
        return entry

    # Write ---------------------------------------------------------------------------------

    async def append(self, job: str, offset: int, part: bytes, end: bool = False) -> Input:
        """Put what is new of `part` at the end; with `end` it is complete then.

        InputGap, InputTooLarge, Conflict; InputUnavailable: nothing was appended. What this gives
        is durable.
        """
        entry = self._entry(job)
        entry.alive_at = self._clock()
        async with entry.lock:
            self._require(job, entry)
            state = entry.state
            where = place(state.size, offset, len(part))
            if isinstance(where, Gap):
                raise InputGap(
                    f"the input of {job} has {state.size} bytes here; send it from there on"
                )
            fresh = memoryview(part)[state.size - offset :]
            if state.ended:
                if fresh:
                    raise Conflict(f"the input of {job} has ended with {state.size} bytes")
                return state
            if not fresh and not end:
                return state
            size = state.size + len(fresh)
            if size > self._largest:
                raise InputTooLarge(
                    f"the input of {job} is larger than {format_size(self._largest)}, the most "
                    "that this server takes ([limits] max_job_input)"
                )
            if fresh and (lack := self._reserve.lack()):
                raise InputUnavailable(lack)
            try:
                await self._write(job, state.size, fresh, end)
            except OSError as error:
                raise self._unavailable(job, error) from None
            self._require(job, entry)
            self.received += len(fresh)
            self._reserve.written(len(fresh))
            entry.alive_at = self._clock()
            entry.state = Input(size, end)
            for watcher in list(entry.watchers):
                watcher(job, entry.state)
            return entry.state

    def _require(self, job: str, entry: _Entry) -> None:
        if self._entries.get(job) is not entry:
            # What may have been written meanwhile is nobody's.
            self._remove(job)
            raise Conflict(f"job {job} has ended; its input is not needed")

    async def _write(self, job: str, size: int, fresh: memoryview, end: bool) -> None:
        path, new = self._path(job, _OPEN), not size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # At its offset, and not at the end: what a failed write has left is written over.
            while fresh:
                written = os.pwrite(descriptor, fresh, size)
                fresh, size = fresh[written:], size + written
            if self._durable:
                await self._group.sync(descriptor, [self.root] if new else [])
        finally:
            os.close(descriptor)
        if end:
            os.rename(path, self._path(job, _ENDED))
            if self._durable:
                await asyncio.to_thread(sync_folder, self.root)

    # Read ----------------------------------------------------------------------------------

    def read(self, job: str, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on, which must be there. InputUnavailable."""
        entry = self._entries.get(job)
        ended = entry is not None and entry.state.ended
        try:
            descriptor = os.open(
                self._path(job, _ENDED if ended else _OPEN), os.O_RDONLY | os.O_CLOEXEC
            )
            try:
                data = os.pread(descriptor, size, offset)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._unavailable(job, error) from None
        if len(data) < size:
            raise InputUnavailable(f"the input of {job} in {self.root} ends before its time")
        return data

    def watch(self, job: str, watcher: Watcher) -> Input:
        """Have `watcher` hear of every change from now on; how far the input has come."""
        entry = self._entry(job)
        entry.watchers.add(watcher)
        return entry.state

    def unwatch(self, job: str, watcher: Watcher) -> None:
        """It wants to hear no more."""
        entry = self._entries.get(job)
        if entry is not None:
            entry.watchers.discard(watcher)

    # Forget --------------------------------------------------------------------------------

    @hears("ended")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of each commit: nobody needs the input of a job that has ended."""
        if self._entries:
            self.forget(changes.ended)

    def forget(self, jobs: Iterable[str]) -> None:
        """Remove the inputs of these jobs, if there are any."""
        for job in jobs:
            if self._entries.pop(job, None) is not None:
                self._remove(job)

    def _remove(self, job: str) -> None:
        # Large files take a while to delete.
        task = asyncio.ensure_future(asyncio.to_thread(self._unlink, job))
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    def _unlink(self, job: str) -> None:
        for form in (_OPEN, _ENDED):
            try:
                self._path(job, form).unlink(missing_ok=True)
            except OSError as error:
                # Found again by the next start of the server.
                _log.warning("an input cannot be deleted", job=job, reason=error.strerror)

    async def close(self) -> None:
        """Wait until what is being deleted is gone."""
        while self._removals:
            await asyncio.wait(self._removals)

    def _path(self, job: str, form: str) -> Path:
        return self.root / f"{job}{form}"

    def _unavailable(self, job: str, error: OSError) -> InputUnavailable:
        return InputUnavailable(f"the input of {job} in {self.root}: {error.strerror or error}")
