"""Which waiting job goes to which agent now: spread and reservation. Pure.

`Fleet` keeps the agents sorted by load in one heap for each queue, so that finding the least
loaded of 10,000 agents does not look at all of them. Entries of a heap that an agent's later
change has outdated are dropped when they come up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from remote_server.domain.capacity import AgentSlot, Share, share_of, shares_of
from remote_server.domain.model import Demand, Waiting
from remote_server.domain.ready_demands import ROOM, Lack

_ENOUGH: Final = 1_000
_FEW: Final = 64
"""Agents with a label that are rather looked at one by one than found in a heap of all."""


class _Member:
    __slots__ = ("given", "labels", "name", "queues", "shares", "slot", "version")

    def __init__(self, slot: AgentSlot) -> None:
        self.name = slot.name
        self.given = 0
        self.version = 0
        self.renew(slot)

    def renew(self, slot: AgentSlot) -> None:
        self.slot = slot
        # The hub may change its slot before it says so: count under what was counted.
        self.queues = frozenset(slot.queues)
        self.labels = dict(slot.labels)
        self.shares = shares_of(slot)

    def share(self, queue: str) -> Share | None:
        return share_of(self.shares, queue)


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
            self._count(member, 1)
        elif member.queues == slot.queues and member.labels == slot.labels:
            # Most often jobs came or went, and nothing else.
            member.shares, member.slot = shares_of(slot), slot
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

    def lacks(self, demand: Demand) -> Lack | None:
        """What an agent must have that could serve such a job, where none does now: until one with
        that comes or changes, none will. None: some agent `serves` it."""
        if self.serves(demand):
            return None
        if demand.agent is not None:
            return demand.agent
        queue = demand.queue
        # The one that the fewest agents have, so that few of their changes are in vain.
        return min(
            demand.labels,
            key=lambda label: len(self._labelled.get((queue, *label), ())),
            default=ROOM,
        )

    def fits(self, demand: Demand) -> bool:
        """Whether such a job fits on some agent now."""
        return self._first(demand, lambda share: share.fits(demand.weight)) is not None

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
        reserved: list[Share] = []
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
            emptiest = self._first(demand, lambda share: True)
            share = None if emptiest is None else emptiest.share(demand.queue)
            if share is not None:
                share.kept = True
                reserved.append(share)
        for share in reserved:
            share.kept = False
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
            share = member.share(demand.queue)
            if (
                share is not None
                and not share.kept
                and member.name not in avoid
                and member.slot.has_labels(demand.labels)
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
                and not share.kept
                and not share.full
                and member.slot.eligible
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
