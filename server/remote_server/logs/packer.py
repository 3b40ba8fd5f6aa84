"""The loop that packs logs some time after their end. Reads and writes the folder of logs.

At its start it looks through all folders once, for what an earlier process did not pack; from then
on it takes what the store of logs calls finished. It works on one log at a time and rests longer
than it works: viewers and agents come first.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Final

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import StoreUnavailable
from remote_server.logs.store import LogStore, LogUnavailable

_REST: Final = 4.0
"""Seconds of rest for each second of work: a fifth of a core at the most."""
_AGAIN: Final = 60.0
"""Seconds until the next try after a failure, a full disk for example."""
_BATCH: Final = 500

Ended = Callable[[Sequence[AttemptId]], Awaitable[frozenset[AttemptId]]]
"""Those of some attempts whose end is committed."""


class Packer:
    """Packs logs `after` seconds after their end. `run` is its loop."""

    def __init__(self, logs: LogStore, ended: Ended, after: float) -> None:
        self._logs = logs
        self._ended = ended
        self._after = after
        self._waiting: deque[tuple[float, AttemptId]] = deque()
        self._log = structlog.get_logger("remote_server.packer")

    async def run(self) -> None:
        """Work until cancelled."""
        keys = iter(await asyncio.to_thread(self._left))
        while batch := list(islice(keys, _BATCH)):
            await self._pack_ended(batch)
        while True:
            await self._pack_ended(self.take())
            await asyncio.sleep(min(self._after, 10.0))

    def _left(self) -> list[AttemptId]:
        try:
            return list(self._logs.plain())
        except OSError as error:
            # Retention removes folders meanwhile; the next start looks again.
            self._log.warning("the folder of logs was not looked through", cause=str(error))
            return []

    def take(self) -> list[AttemptId]:
        """Logs that finished long enough ago, at most one batch."""
        now = time.monotonic()
        waiting, finished = self._waiting, self._logs.finished
        while finished:
            waiting.append((now, finished.popleft()))
        due: list[AttemptId] = []
        while waiting and len(due) < _BATCH and waiting[0][0] + self._after <= now:
            due.append(waiting.popleft()[1])
        return due

    async def _pack_ended(self, keys: Sequence[AttemptId]) -> None:
        while keys:
            try:
                ended = await self._ended(keys)
                break
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN)
        for key in keys:
            if key not in ended:
                continue
            begun = time.monotonic()
            try:
                await self._logs.pack(key)
            except LogUnavailable as error:
                self._log.warning("a log cannot be packed now", cause=str(error))
                await asyncio.sleep(_AGAIN)
            else:
                await asyncio.sleep(_REST * (time.monotonic() - begun))
