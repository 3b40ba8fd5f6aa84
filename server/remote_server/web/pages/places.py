"""An agent's capacity as places: a group for each class, busy ones first. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from remote_server.domain.capacity import DEFAULT_CLASS, AgentSlot

_MOST: Final = 24
"""Places that are drawn one by one."""
_STEP: Final = 8
_GAP: Final = 4


class Places(NamedTuple):
    """What is drawn, and the numbers beside it."""

    busy: int
    total: int
    rects: tuple[tuple[int, bool], ...] = ()
    """Where each place begins, and whether it is busy; empty when there are too many."""
    width: int = 0
    held: bool = False
    """It gets no jobs: its free places are of no use."""

    @property
    def many(self) -> bool:
        """Whether a narrow screen has no room for them."""
        return len(self.rects) > 8


def places(capacity: Mapping[str, int], used: Mapping[str, int], held: bool) -> Places:
    """`used`: how many jobs each class holds; of weights, as many as there are jobs."""
    total, busy = sum(capacity.values()), sum(used.values())
    if total > _MOST:
        return Places(busy, total, held=held)
    rects: list[tuple[int, bool]] = []
    x = 0
    for name in sorted(capacity, key=lambda name: (name != DEFAULT_CLASS, name)):
        for number in range(capacity[name]):
            rects.append((x, number < used.get(name, 0)))
            x += _STEP
        x += _GAP
    return Places(busy, total, tuple(rects), max(0, x - _GAP - 2), held)


def used_of(slot: AgentSlot | None, running: int) -> dict[str, int]:
    """How many jobs each class of an agent holds; of one that is away only the number is known."""
    if slot is None:
        return {DEFAULT_CLASS: running} if running else {}
    used: dict[str, int] = {}
    for queue, _ in slot.leases.values():
        name = slot.class_of(queue)
        used[name] = used.get(name, 0) + 1
    return used
