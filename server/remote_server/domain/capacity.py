"""What an agent can take: capacity classes, labels, exact shares. Pure.

An agent has capacity classes (`{"default": 4, "monitors": 10}`). A job belongs to the class named
like its queue if the agent has one, else to `default`. Within a class the weights of all held
jobs sum up to at most 1; a job without a weight counts 1 / capacity. Shares are exact: eight
times 1/8 fits, whatever floats think.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.model import Demand

DEFAULT_CLASS: Final = "default"
_ONE: Final = Fraction(1)
_FINEST: Final = 1_000_000


@lru_cache(maxsize=4096)
def exact(weight: float) -> Fraction:
    """The weight that was meant: 0.1 is 1/10 and 0.0909… is 1/11, not their binary neighbours."""
    return max(Fraction(weight).limit_denominator(_FINEST), Fraction(1, _FINEST))


@dataclass(slots=True)
class AgentSlot:
    """An agent with an open link, as the hub knows it."""

    name: str
    queues: frozenset[str]
    labels: Mapping[str, str]
    capacity: dict[str, int]
    leases: dict[AttemptId, tuple[str, float | None]] = field(default_factory=dict)
    """Queue and weight of every attempt that it holds or was offered."""
    eligible: bool = True
    reason: str = ""
    """Why it gets no jobs, in words, when it is not eligible."""

    def class_of(self, queue: str) -> str:
        """The capacity class of a queue's jobs on this agent."""
        return queue if queue in self.capacity else DEFAULT_CLASS

    def has_labels(self, labels: Iterable[tuple[str, str]]) -> bool:
        """Whether it has all these labels."""
        own = self.labels
        for key, value in labels:  # noqa: SIM110 - a generator costs more than the labels of a job
            if own.get(key) != value:
                return False
        return True

    def could_run(self, demand: Demand) -> bool:
        """Whether it would take such a job if it held none."""
        return (
            demand.agent in (None, self.name)
            and demand.queue in self.queues
            and self.capacity.get(self.class_of(demand.queue), 0) > 0
            and self.has_labels(demand.labels)
        )


@dataclass(slots=True)
class Share:
    """How much of one capacity class is taken."""

    capacity: int
    plain: int = 0
    """Jobs without a weight of their own."""
    weighted: Fraction = Fraction(0)
    """Sum of the other jobs' weights."""
    kept: bool = False
    """What is left of it is for a job that waits for more: nobody else gets it in this pass."""

    def take(self, weight: float | None) -> None:
        """One more job."""
        if weight is None:
            self.plain += 1
        else:
            self.weighted += exact(weight)

    def fits(self, weight: float | None) -> bool:
        """Whether one more job fits."""
        if self.capacity <= 0:
            return False
        if weight is None and not self.weighted:
            return self.plain < self.capacity
        more = Fraction(1, self.capacity) if weight is None else exact(weight)
        return self.used + more <= _ONE

    @property
    def used(self) -> Fraction:
        """What is taken; above 1 when the capacity was lowered meanwhile."""
        if self.capacity <= 0:
            return _ONE
        return Fraction(self.plain, self.capacity) + self.weighted

    @property
    def load(self) -> float:
        """What is taken, for comparing."""
        if self.capacity <= 0:
            return 1.0
        return self.plain / self.capacity + (float(self.weighted) if self.weighted else 0.0)

    @property
    def full(self) -> bool:
        """Whether nothing at all fits any more."""
        if not self.weighted:
            return self.plain >= self.capacity
        return self.used >= _ONE

    @property
    def room(self) -> int:
        """About how many more jobs without a weight fit."""
        return (
            max(0, int((_ONE - self.used) * self.capacity))
            if self.weighted
            else max(0, self.capacity - self.plain)
        )


def shares_of(slot: AgentSlot) -> dict[str, Share]:
    """The classes of an agent with what its leases take of them."""
    shares = {name: Share(size) for name, size in slot.capacity.items()}
    for queue, weight in slot.leases.values():
        share = share_of(shares, queue)
        if share is not None:
            share.take(weight)
    return shares


def share_of(shares: Mapping[str, Share], queue: str) -> Share | None:
    """That of an agent's classes which a queue's jobs belong to (`AgentSlot.class_of`)."""
    return shares.get(queue) or shares.get(DEFAULT_CLASS)
