"""Long collections in parts, between which others run. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
SLICE: Final = 500
"""Agents that are looked at without letting others run: under a millisecond."""


async def slices(items: Sequence[T], size: int = SLICE) -> AsyncIterator[Sequence[T]]:
    """The items in parts of `size`; the loop turns before each part but the first."""
    for start in range(0, len(items), size):
        if start:
            await asyncio.sleep(0)
        yield items[start : start + size]
