"""Filters: what a job's output passes after it is read and before anything of it is kept.

A start order names one (`Order.filter`); nothing else in the shim knows any of them. A new one is a
`base.Filters` and gets its line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from remote_agent.shim.filters.base import Filter, Filters
from remote_agent.shim.filters.masking import MaskFilters
from remote_agent.shim.order import MASK, Order, OrderError

FILTERS: Final[dict[str, Callable[[Order, Mapping[str, str]], Filters]]] = {MASK: MaskFilters}
"""How each is made: of the start order, and of the values of the secrets by name."""


def make_filters(order: Order, secrets: Mapping[str, str]) -> Filters | None:
    """The filters of an attempt; None when its order wants none. OrderError for one that this shim
    does not have: output is never kept unfiltered instead."""
    if order.filter is None:
        return None
    make = FILTERS.get(order.filter)
    if make is None:
        raise OrderError(
            f"the start order wants its output filtered by {order.filter!r}, which this shim does "
            "not have; restart the agent so that its shims are as new as itself"
        )
    return make(order, secrets)


__all__ = ["FILTERS", "Filter", "Filters", "make_filters"]
