"""The loop that deletes contents that nobody needs: the old ones, and uploads that stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from remote_server.contents.ports import ContentUnavailable
from remote_server.contents.uploads import ContentUploads
from remote_server.errors import StoreUnavailable

LOOK: Final = 300.0
"""Seconds between two looks, at the most."""
ANY: Final = 1 << 62
"""More bytes than there are: as many as can be freed."""
_NEEDS: Final = 100
"""Pages of needs that one look goes through: they must not come faster than they go."""
_log = structlog.get_logger("remote_server.contents")


class ContentUpkeep:
    """Looks after contents. `wall` is Unix time."""

    def __init__(self, uploads: ContentUploads, wall: Callable[[], float]) -> None:
        self._uploads = uploads
        self._wall = wall
        self._pruned = False

    async def run(self) -> None:
        """Work until cancelled."""
        limits = self._uploads.limits
        pause = min(LOOK, limits.ttl / 2, limits.upload_ttl / 2)
        while True:
            await asyncio.sleep(pause)
            try:
                await self.look()
            except (StoreUnavailable, ContentUnavailable) as error:
                _log.warning("contents cannot be looked after now", cause=str(error))
            except Exception:
                _log.exception("a look at the contents failed")

    async def look(self) -> int:
        """Delete what is kept no longer; how many bytes of whole contents."""
        uploads, limits, now = self._uploads, self._uploads.limits, self._wall()
        for part in uploads.contents.parts():
            if part.touched < now - limits.upload_ttl:
                uploads.forget(part.key)
        if not self._pruned:
            await self.prune()
            self._pruned = True
        for _ in range(_NEEDS):
            if not await uploads.rows.clear_content_needs():
                break
        freed = await uploads.delete_unneeded(ANY, now - limits.ttl)
        if freed:
            _log.info("contents deleted that no job has needed for long", bytes=freed)
        return freed

    async def prune(self) -> int:
        """Delete whole contents of which nothing is known, as a crash may leave them; how many."""
        uploads = self._uploads
        async with uploads.changing:
            known = await uploads.rows.known_contents()
            orphans = [name for name in await uploads.contents.kept() if name not in known]
            for digest in orphans:
                await uploads.contents.delete(digest)
        return len(orphans)
