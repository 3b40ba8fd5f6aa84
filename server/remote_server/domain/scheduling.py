"""Which waiting job goes to which agent now: shares, classes, spread, reservation. Pure.

An agent has capacity classes (`{"default": 4, "monitors": 10}`). A job belongs to the class named
like its queue if the agent has one, else to `default`. Within a class the weights of all held
jobs sum up to at most 1; a job without a weight counts 1 / capacity. Shares are exact: eight
times 1/8 fits, whatever floats think.

`Fleet` keeps the agents sorted by load in one heap for each queue, so that finding the least
loaded of 10,000 agents does not look at all of them. Entries of a heap that an agent's later
change has outdated are dropped when they come up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Final

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.model import Demand, Waiting

DEFAULT_CLASS: Final = "default"
_ONE: Final = Fraction(1)
_FINEST: Final = 1_000_000
_ENOUGH: Final = 1_000
_FEW: Final = 64
"""Agents with a label that are rather looked at one by one than found in a heap of all."""


@lru_cache(maxsize=4096)
def exact(weight: float) -> Fraction:
    """The weight that was meant: 0.1 is 1/10 and 0.0909… is 1/11, not their binary neighbours."""
    return max(Fraction(weight).limit_denominator(_FINEST), Fraction(1, _FINEST))


@dataclass(slots=True)
class AgentSlot:
    """An agent with an open link, as the hub knows it."""

    name: str
    queues: frozenset[str]
    labels: dict[str, str]
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
        return all(own.get(key) == value for key, value in labels)

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
        share = shares.get(slot.class_of(queue))
        if share is not None:
            share.take(weight)
    return shares


class _Member:
    __slots__ = ("given", "labels", "name", "queues", "reserved", "shares", "slot", "version")

    def __init__(self, slot: AgentSlot) -> None:
        self.name = slot.name
        self.given = 0
        self.version = 0
        self.reserved: set[str] = set()
        self.renew(slot)

    def renew(self, slot: AgentSlot) -> None:
        self.slot = slot
        # The hub may change its slot before it says so: count under what was counted.
        self.queues = frozenset(slot.queues)
        self.labels = dict(slot.labels)
        self.shares = shares_of(slot)

    def share(self, queue: str) -> Share | None:
        return self.shares.get(self.slot.class_of(queue))


_Entry = tuple[float, int, str, int]


def _avoids_nobody(job: str) -> Collection[str]:
    return ()


class Fleet:
    """The connected agents, ready to be matched with waiting jobs."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self._heaps: dict[str, list[_Entry]] = {}
        self._serving: dict[str, int] = {}
        self._labelled: dict[tuple[str, str, str], set[str]] = {}
        self._given = 0
        self._versions = 0

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """The agents it knows."""
        return list(self._members)

    def put(self, slot: AgentSlot) -> None:
        """An agent as it is now: new, or changed in any way."""
        member = self._members.get(slot.name)
        if member is None:
            member = self._members[slot.name] = _Member(slot)
        else:
            self._count(member, -1)
            member.renew(slot)
        self._count(member, 1)
        self._line_up(member)

    def drop(self, name: str) -> None:
        """An agent whose link is gone."""
        member = self._members.pop(name, None)
        if member is not None:
            self._count(member, -1)
            self._versions += 1
            member.version = self._versions

    def room(self, queue: str) -> int:
        """At most how many jobs of ordinary size this queue's agents can take now, estimated from
        above by the number of free places; 0 when nothing fits at all."""
        heap = self._heaps.get(queue)
        if not heap:
            return 0
        room = 0
        for _, _, name, version in heap:
            member = self._members.get(name)
            if member is not None and member.version == version:
                share = member.share(queue)
                room += max(1, share.room) if share is not None else 0
                if room >= _ENOUGH:
                    break
        return room

    def serves(self, demand: Demand) -> bool:
        """Whether some agent with all its labels has any room now, if only a part of what such a
        job needs."""
        return self._first(demand, lambda share: True) is not None

    def match(
        self,
        waiting: Sequence[Waiting],
        avoided: Callable[[str], Collection[str]] = _avoids_nobody,
    ) -> list[tuple[str, str]]:
        """`(job, agent)` for those of `waiting`, given in rank order, that can start now.
        `avoided`: the agents that a job does not go to.

        A job that fits nowhere now but would fit an empty agent keeps the emptiest one free:
        no later job of this pass gets a place there, so that big jobs do not starve.
        """
        given: list[tuple[str, str]] = []
        hopeless: set[Demand] = set()
        reserved: list[_Member] = []
        for job in waiting:
            demand = job.demand
            if demand in hopeless:
                continue
            avoid = avoided(job.job)
            member = self._take(demand, avoid)
            if member is not None:
                given.append((job.job, member.name))
                continue
            if avoid:
                # Others of its kind may go where it does not.
                continue
            hopeless.add(demand)
            # Agents that are full now have nothing that could be kept free.
            kept = self._first(demand, lambda share: True)
            if kept is not None:
                kept.reserved.add(kept.slot.class_of(demand.queue))
                reserved.append(kept)
        for member in reserved:
            member.reserved.clear()
        return given

    def _take(self, demand: Demand, avoid: Collection[str]) -> _Member | None:
        """Give one job to the least loaded agent it fits on; among equals, to the one that got
        its last job longest ago."""
        member = self._first(demand, lambda share: share.fits(demand.weight), avoid)
        if member is None:
            return None
        share = member.share(demand.queue)
        assert share is not None
        share.take(demand.weight)
        self._given += 1
        member.given = self._given
        self._line_up(member)
        return member

    def _first(
        self, demand: Demand, fits: Callable[[Share], bool], avoid: Collection[str] = ()
    ) -> _Member | None:
        """The least loaded agent that has some room, all labels, and a share that `fits`."""
        heap = self._heaps.get(demand.queue)
        if not heap:
            return None
        if demand.agent is not None:
            named = self._members.get(demand.agent)
            serves = named is not None and demand.queue in named.queues
            return self._best(demand, fits, {demand.agent}, avoid) if serves else None
        if demand.labels:
            queue = demand.queue
            rare = min(
                (self._labelled.get((queue, key, value), set()) for key, value in demand.labels),
                key=len,
            )
            if len(rare) <= _FEW:
                return self._best(demand, fits, rare, avoid)
        passed: list[_Entry] = []
        found: _Member | None = None
        while heap:
            entry = heap[0]
            member = self._members.get(entry[2])
            if member is None or member.version != entry[3]:
                heappop(heap)
                continue
            slot = member.slot
            kind = slot.class_of(demand.queue)
            share = member.shares.get(kind)
            if (
                share is not None
                and member.name not in avoid
                and kind not in member.reserved
                and slot.has_labels(demand.labels)
                and fits(share)
            ):
                found = member
                break
            passed.append(heappop(heap))
        for entry in passed:
            heappush(heap, entry)
        return found

    def _best(
        self,
        demand: Demand,
        fits: Callable[[Share], bool],
        names: set[str],
        avoid: Collection[str],
    ) -> _Member | None:
        best: tuple[float, int, str] | None = None
        for name in names.difference(avoid):
            member = self._members[name]
            share = member.share(demand.queue)
            if (
                share is not None
                and not share.full
                and member.slot.eligible
                and member.slot.class_of(demand.queue) not in member.reserved
                and member.slot.has_labels(demand.labels)
                and fits(share)
            ):
                rank = (share.load, member.given, name)
                best = rank if best is None else min(best, rank)
        return None if best is None else self._members[best[2]]

    def _line_up(self, member: _Member) -> None:
        self._versions += 1
        member.version = self._versions
        slot = member.slot
        if not slot.eligible:
            return
        for queue in member.queues:
            share = member.share(queue)
            if share is None or share.full:
                continue
            heap = self._heaps.setdefault(queue, [])
            if len(heap) > 4 * self._serving.get(queue, 0) + 64:
                heap[:] = [entry for entry in heap if self._valid(entry)]
                heapify(heap)
            heappush(heap, (share.load, member.given, member.name, member.version))

    def _valid(self, entry: _Entry) -> bool:
        member = self._members.get(entry[2])
        return member is not None and member.version == entry[3]

    def _count(self, member: _Member, change: int) -> None:
        for queue in member.queues:
            count = self._serving.get(queue, 0) + change
            if count:
                self._serving[queue] = count
            else:
                self._serving.pop(queue, None)
                self._heaps.pop(queue, None)
            for key, value in member.labels.items():
                names = self._labelled.setdefault((queue, key, value), set())
                if change > 0:
                    names.add(member.name)
                else:
                    names.discard(member.name)
                    if not names:
                        del self._labelled[queue, key, value]
