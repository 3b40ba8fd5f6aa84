"""Whether the database can be written: asked by anybody, tried at most once in a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from remote_server.errors import ServerError

GOOD_FOR: Final = 2.0
"""Seconds that an answer is given again."""
PROBE_TIMEOUT: Final = 5.0
"""Seconds after which a database that does not answer is away."""
Probe = Callable[[], Awaitable[None]]


class Readiness:
    """The last answer, and the question that is being asked now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._fault: str | None = None
        self._asking: asyncio.Task[None] | None = None

    async def fault(self, probe: Probe) -> str | None:
        """Why the database cannot be written, in words; None when it can."""
        if self._clock() < self._until:
            return self._fault
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask(probe))
        # Whoever leaves meanwhile takes the answer from nobody.
        await asyncio.shield(self._asking)
        return self._fault

    async def _ask(self, probe: Probe) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await probe()
            self._fault = None
        except TimeoutError:
            self._fault = f"the database did not answer within {PROBE_TIMEOUT:g} seconds"
        except ServerError as error:
            self._fault = f"nothing can be stored: {error}"
        finally:
            self._asking = None
            self._until = self._clock() + GOOD_FOR
