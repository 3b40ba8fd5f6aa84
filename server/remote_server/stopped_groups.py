"""The loop that ends the members of groups that were halted or cancelled.

That a group is stopped is committed with its cause, and nothing of it starts from then on. Its
members end here, in parts, so that ten thousand of them hold up nobody; what a restart interrupts
goes on after it, because the groups are found by their rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_server.domain.change_set import ChangeSet, hears
from remote_server.errors import StoreUnavailable

RETRY: Final = 1.0
"""Seconds until the next look when the database cannot be used."""


class StoppingStore(Protocol):
    """What the loop needs of the store."""

    async def stopped_groups(self) -> list[str]:
        """Groups that were stopped and have not ended."""

    async def end_members(self, group: str, now: float, last: str | None = None) -> str | None:
        """End some members after `last`; the last one of them, None when there is no other."""


class StoppedGroups:
    """Ends what stopped groups have left. `run` is its loop."""

    def __init__(self, store: StoppingStore, wall: Callable[[], float]) -> None:
        self._store = store
        self._wall = wall
        self._groups: set[str] | None = None
        """Groups to look at; None: all that were stopped."""
        self._awake = asyncio.Event()
        self._awake.set()
        self._log = structlog.get_logger("remote_server.groups")

    @hears("stopping")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of each commit."""
        if changes.stopping:
            if self._groups is not None:
                self._groups |= changes.stopping
            self._awake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            groups, self._groups = self._groups, set()
            try:
                if groups is None:
                    groups = set(await self._store.stopped_groups())
                for group in sorted(groups):
                    await self._end(group)
                continue
            except StoreUnavailable as error:
                self._log.warning("members of groups cannot be ended now", cause=str(error))
            except Exception:
                self._log.exception("ending the members of groups failed")
            self._groups = None
            await asyncio.sleep(RETRY)
            self._awake.set()

    async def _end(self, group: str) -> None:
        last = await self._store.end_members(group, self._wall())
        while last is not None:
            last = await self._store.end_members(group, self._wall(), last)
