"""Whether a job fits into the capacity that the server has assigned. Pure.

The server counts, exactly, before it offers. This is the host's own look at it: whatever a server
says, no more runs here than was agreed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

DEFAULT: Final = "default"
_INEXACT: Final = 1e-6
"""Weights are sums of binary fractions here."""


class Share(Protocol):
    """A job, as far as it takes a part of the capacity."""

    @property
    def queue(self) -> str:
        """Where it waited."""

    @property
    def weight(self) -> float | None:
        """How much of its class it takes; None: one place."""


def fits(capacity: Mapping[str, int], held: Iterable[Share], more: Share) -> bool:
    """Whether `more` may run beside the jobs that are `held`; their weights add up to 1 at most in
    each class. Always, before any capacity is known."""
    if not capacity:
        return True
    own = more.queue if more.queue in capacity else DEFAULT
    size = capacity.get(own, 0)
    if size < 1:
        return False
    share = 1 / size
    used = share if more.weight is None else more.weight
    for job in held:
        queue = job.queue
        if queue == own or (own == DEFAULT and queue not in capacity):
            used += share if job.weight is None else job.weight
    return used <= 1 + _INEXACT


def unused(capacity: Mapping[str, int], queues: Iterable[str]) -> str:
    """A warning when the capacity names what is no queue of the agent; empty when all is well."""
    idle = sorted(set(capacity) - {DEFAULT, *queues})
    if not idle:
        return ""
    names = ", ".join(map(repr, idle))
    return (
        f"capacity for {names} is never used: it is no queue of this agent; correct the name, or "
        "let the agent serve that queue"
    )
