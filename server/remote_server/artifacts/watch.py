"""The loop that gives up artifacts of which nothing comes any more: their host is gone for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.units import format_duration
from remote_server.artifacts.ports import ArtifactStore, ArtifactUnavailable
from remote_server.errors import StoreUnavailable

LOOK: Final = 60.0
"""Seconds between two looks, at the most."""
_log = structlog.get_logger("remote_server.artifacts")


class Rows(Protocol):
    """Where it is noted what became of artifacts (the store)."""

    async def stale_artifacts(self, before: float) -> list[tuple[AttemptId, int]]:
        """Those that are not complete and were announced before `before`."""

    async def end_artifact(
        self, attempt: AttemptId, number: int, state: ArtifactState, reason: str, now: float
    ) -> bool:
        """It has failed."""


class ArtifactWatch:
    """Ends what has stood still for `ttl` seconds. `wall` is Unix time."""

    def __init__(
        self, artifacts: ArtifactStore, rows: Rows, wall: Callable[[], float], ttl: float
    ) -> None:
        self._artifacts = artifacts
        self._rows = rows
        self._wall = wall
        self._ttl = ttl

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await asyncio.sleep(min(LOOK, self._ttl / 2))
            try:
                await self.look()
            except (StoreUnavailable, ArtifactUnavailable) as error:
                _log.warning("artifacts cannot be looked after now", cause=str(error))

    async def look(self) -> int:
        """Give up what has stood still; how many."""
        before = self._wall() - self._ttl
        ended = 0
        for key, number in await self._rows.stale_artifacts(before):
            # It was announced long ago, but a large one may still be coming.
            if self._artifacts.touched(key, number) >= before:
                continue
            reason = f"nothing of it came for {format_duration(self._ttl)}"
            state = ArtifactState.FAILED
            await self._rows.end_artifact(key, number, state, reason, self._wall())
            self._artifacts.discard(key, number)
            ended += 1
        return ended
