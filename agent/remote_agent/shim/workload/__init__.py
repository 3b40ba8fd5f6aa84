"""Workloads: what can run a job. Touches nothing itself.

A kind of job names its workload in the start order; nothing else in the shim knows any of them. A
new one implements `base.Workload` and gets its line here (docs/attempt-directory.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.workload.base import JobPipes, Workload
from remote_agent.shim.workload.container import ContainerWorkload
from remote_agent.shim.workload.forked import ForkedWorkload
from remote_agent.shim.workload.process import ProcessWorkload

WORKLOADS: Final[dict[str, Callable[[Order, bool], Workload]]] = {
    "process": ProcessWorkload,
    "container": ContainerWorkload,
    "forked": ForkedWorkload,
}
"""How each is made: of the start order, and of whether a launcher kills what a dead shim leaves."""


def make_workload(order: Order, guarded: bool) -> Workload:
    """The workload that an order names. OrderError when this shim does not have it."""
    make = WORKLOADS.get(order.workload)
    if make is None:
        raise OrderError(
            f"the start order names the workload {order.workload!r}, which this shim does not have "
            f"(it has {', '.join(WORKLOADS)}); restart the agent so that its shims are as new as "
            "itself"
        )
    return make(order, guarded)


__all__ = ["WORKLOADS", "JobPipes", "Workload", "make_workload"]
