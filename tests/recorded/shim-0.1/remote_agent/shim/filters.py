"""Filters: what a job's output passes after it is read and before anything of it is kept. Pure.

A start order names one (`Order.filter`), and each stream gets its own. Bytes go in and bytes come
out; what a filter holds back between two reads, because it cannot tell yet, comes out at the end.
The cap, the spool, the sizes and the checksum see only what a filter has let through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from remote_agent.shim.order import Order, OrderError
from remote_protocol.cri import STDERR, STDOUT


class Filter(Protocol):
    """Changes one stream of a job's output. It must hold back little, and never raise: an error
    costs the attempt, for output that should have been changed must not be kept as it is."""

    def feed(self, data: bytes) -> bytes:
        """What comes out after the next piece of the stream, which is never empty."""

    def flush(self) -> bytes:
        """What is left when the stream has ended."""


FILTERS: Final[dict[str, Callable[[Mapping[str, str]], Filter]]] = {}
"""How each is made for one stream of one attempt, given the values of its secrets by name."""


def make_filters(order: Order, secrets: Mapping[str, str]) -> dict[bytes, Filter] | None:
    """A filter for each stream; None when the order wants none. OrderError for one that this shim
    does not have: output is never kept unfiltered instead."""
    if order.filter is None:
        return None
    make = FILTERS.get(order.filter)
    if make is None:
        raise OrderError(
            f"the start order wants its output filtered by {order.filter!r}, which this shim does "
            "not have; restart the agent so that its shims are as new as itself"
        )
    return {stream: make(secrets) for stream in (STDOUT, STDERR)}
