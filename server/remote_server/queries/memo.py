"""Keeps what is dear to read for as long as reading it took, times twenty: however many look at it
and however often, they take one twentieth of the time together. No I/O of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")
SHARE: Final = 20.0


class Memo(Generic[T]):
    """One thing that is read again only when it is old."""

    def __init__(
        self,
        read: Callable[[], Awaitable[T]],
        *,
        least: float = 0.0,
        keep: Callable[[T], bool] = lambda _: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`least`: seconds for which it is kept at least; `keep`: whether it is kept at all."""
        self._read = read
        self._least = least
        self._keep = keep
        self._now = now
        self._lock = asyncio.Lock()
        self._known: tuple[T] | None = None
        self._until = 0.0

    async def get(self) -> T:
        """It, not older than that."""
        if self._known is not None and self._now() < self._until:
            return self._known[0]
        async with self._lock:  # many who look at once read it once
            if self._known is not None and self._now() < self._until:
                return self._known[0]
            begun = self._now()
            found = await self._read()
            ended = self._now()
            self._known = (found,) if self._keep(found) else None
            self._until = ended + max(self._least, SHARE * (ended - begun))
            return found
