"""How often a piece of work lets others run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def loop_turns(work: Awaitable[T]) -> tuple[T, int]:
    """What the work gives, and how often another task ran meanwhile."""
    count = 0

    async def others() -> None:
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        return await work, count
    finally:
        task.cancel()
