"""The loop that waits until database and logs can be written again, after a failure.

Writes a probe to both; touches nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_server.errors import ServerError

PAUSE: Final = 1.0

log = structlog.get_logger("remote_server.recovery")


class Probed(Protocol):
    """What is asked of the store."""

    async def probe(self) -> None:
        """Write something. StoreUnavailable when that is not possible now."""


class ProbedLogs(Protocol):
    """What is asked of the log store."""

    def probe(self) -> None:
        """Write something. LogUnavailable when that is not possible now."""


class Recovery:
    """Probes after a failure, until it is over. `done` is called then."""

    def __init__(
        self, store: Probed, logs: ProbedLogs, done: Callable[[], None], pause: float = PAUSE
    ) -> None:
        self._store = store
        self._logs = logs
        self._done = done
        self._pause = pause
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Something failed: probe, if that is not going on."""
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def stop(self) -> None:
        """Give up."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self._store.probe()
                self._logs.probe()
            except ServerError:
                continue
            break
        log.info("database and logs work again")
        self._done()
