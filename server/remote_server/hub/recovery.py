"""The loop that waits until database and logs can be written again, after a failure.

Writes a probe to both; touches nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_server.errors import ServerError
from remote_server.logs import LogStore

PAUSE: Final = 1.0
_PROBE: Final = b"\0" * 4096

log = structlog.get_logger("remote_server.recovery")


class Probed(Protocol):
    """What is asked of the store."""

    async def probe(self) -> None:
        """Write something. StoreUnavailable when that is not possible now."""


class Recovery:
    """Probes after a failure, until it is over. `done` is called then."""

    def __init__(
        self, store: Probed, logs: LogStore, done: Callable[[], None], pause: float = PAUSE
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
                self._probe_logs()
            except (ServerError, OSError):
                continue
            break
        log.info("database and logs work again")
        self._done()

    def _probe_logs(self) -> None:
        self._logs.require_room()
        probe = self._logs.root / ".probe"
        try:
            probe.write_bytes(_PROBE)
        finally:
            probe.unlink(missing_ok=True)
