"""Parts of long collections, and the turns that others get between them."""

from __future__ import annotations

from remote_server.slices import slices
from tests.support.loop_turns import loop_turns


async def parts(count: int, size: int) -> list[list[int]]:
    return [list(part) async for part in slices(range(count), size)]


async def test_all_of_it_in_order_and_others_run_in_between() -> None:
    assert await parts(0, 3) == []
    found, turns = await loop_turns(parts(7, 3))
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert turns >= 2
