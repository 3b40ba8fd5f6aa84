"""The loop that moves logs to the archive some time after their end. Works on ports only.

At its start it looks through the store once, for what an earlier process did not pack; from then on
it takes what `Logs` calls finished. It works on one log at a time and rests longer than it works:
viewers and agents come first. What cannot be packed now is tried again, less and less often, and
stays where it is until the archive has it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import StoreUnavailable
from remote_server.logs.logs import Logs
from remote_server.logs.ports import ArchiveUnavailable, LogUnavailable

_REST: Final = 4.0
"""Seconds of rest for each second of work: a fifth of a core at the most."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 600.0
"""Seconds until the next try after a failure; each one in a row doubles them."""
_TURN: Final = 10.0
"""Seconds until it looks again for what has finished."""
_BATCH: Final = 500
_MOST_WAITING: Final = 100_000

Ended = Callable[[Sequence[AttemptId]], Awaitable[frozenset[AttemptId]]]
"""Those of some attempts whose end is committed."""


class _Waiting(NamedTuple):
    due: float
    key: AttemptId
    failures: int


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row, at least one."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 20))


class Packer:
    """Packs logs `after` seconds after their end. `run` is its loop."""

    def __init__(
        self,
        logs: Logs,
        ended: Ended,
        after: float,
        pause: Callable[[int], float] = pause_after,
    ) -> None:
        self._logs = logs
        self._ended = ended
        self._after = after
        self._pause = pause
        self._waiting: list[_Waiting] = []
        self._missed = True
        """Some logs are in the store that are known to nobody here."""
        self._failures = 0
        """Of the archive, in a row."""
        self._log = structlog.get_logger("remote_server.packer")

    async def run(self) -> None:
        """Work until cancelled."""
        await self._try_archive()
        while True:
            if self._missed and not self._waiting:
                await self._look()
            due = self.take()
            if self._logs.archive_fault and not due and not self._waiting:
                # No log would show that it is back.
                await self._try_archive()
            await self._pack_ended(due)
            await asyncio.sleep(min(self._after, _TURN))

    async def _try_archive(self) -> None:
        """Whether it can be read; what is wrong with it is said once."""
        known = self._logs.archive_fault
        try:
            await self._logs.archived.probe()
        except ArchiveUnavailable as error:
            self._logs.archive_fault = str(error)
            if not known:
                self._log.warning(
                    "packed logs cannot be read now, nor any packed", cause=str(error)
                )
        else:
            if known:
                self._recovered()

    def _recovered(self) -> None:
        self._logs.archive_fault = ""
        self._failures = 0
        self._log.info("logs are moved to the archive again")

    async def _look(self) -> None:
        """Take what is in the store, all of it due."""
        self._missed = False
        try:
            keys = await asyncio.to_thread(lambda: list(self._logs.unpacked()))
        except (LogUnavailable, OSError) as error:
            # Retention removes folders meanwhile; the next start looks again.
            self._log.warning("the store of logs was not looked through", cause=str(error))
            return
        for key in keys:
            self._wait(_Waiting(0.0, key, 0))

    def _wait(self, one: _Waiting) -> None:
        if len(self._waiting) < _MOST_WAITING:
            heappush(self._waiting, one)
        else:
            self._missed = True

    def take(self) -> list[_Waiting]:
        """Logs that finished long enough ago, at most one batch."""
        now, finished = time.monotonic(), self._logs.finished
        while finished:
            self._wait(_Waiting(now + self._after, finished.popleft(), 0))
        due: list[_Waiting] = []
        while self._waiting and len(due) < _BATCH and self._waiting[0].due <= now:
            due.append(heappop(self._waiting))
        self._logs.backlog = len(self._waiting) + len(due)
        return due

    async def _pack_ended(self, due: Sequence[_Waiting]) -> None:
        failures = 0
        while due:
            try:
                ended = await self._ended([one.key for one in due])
                break
            except StoreUnavailable:
                failures += 1
                await asyncio.sleep(self._pause(failures))
        for one in due:
            if one.key in ended:
                await self._pack(one)

    async def _pack(self, one: _Waiting) -> None:
        try:
            seconds = await self._logs.pack(one.key)
        except LogUnavailable as error:
            again = self._pause(one.failures + 1)
            self._wait(_Waiting(time.monotonic() + again, one.key, one.failures + 1))
            if isinstance(error, ArchiveUnavailable):
                # The next one would fare no better.
                self._failures += 1
                self._logs.archive_fault = str(error)
                again = self._pause(self._failures)
            self._log.warning(
                "a log cannot be moved to the archive now; it stays where it is",
                cause=str(error),
                next_try_in_seconds=round(again),
            )
            if isinstance(error, ArchiveUnavailable):
                await asyncio.sleep(again)
            return
        if self._logs.archive_fault:
            self._recovered()
        self._logs.backlog = max(0, self._logs.backlog - 1)
        await asyncio.sleep(_REST * seconds)
