"""What is demanded by the jobs that are ready, as the dispatcher looks for those to give. Pure.

Ten thousand jobs may each wait for an agent of their own, and must not be looked at whenever
another job is given. A demand that no agent can serve is set aside under what it lacks, and is
looked at again when an agent that has that comes or changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from remote_server.domain.capacity import AgentSlot
from remote_server.domain.model import Demand

Lack = str | tuple[str, str]
"""What an agent of the queue must have that could serve a demand: the name, a label, or `ROOM`."""
ROOM: Final = ""
"""Any agent of the queue could."""


class ReadyDemands(Mapping[Demand, int]):
    """How many jobs are ready for each demand. It changes with the commits."""

    def __init__(self, counts: Mapping[Demand, int], paused: frozenset[str] = frozenset()) -> None:
        self._counts = dict(counts)
        self._paused = paused
        """Queues whose jobs wait whatever agents there are."""
        self._open: dict[Demand, None] = {}
        """Demands that some agent may serve now: for all others an agent has to change first."""
        self._aside: dict[Demand, Lack] = {}
        self._lacking: dict[str, dict[Lack, dict[Demand, None]]] = {}
        """Those set aside, by queue and by what they lack."""
        self.reopen_all()

    def __getitem__(self, demand: Demand) -> int:
        return self._counts[demand]

    def __iter__(self) -> Iterator[Demand]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, demand: Demand, change: int) -> None:
        """So many more jobs are ready for a demand, or fewer."""
        known = self._counts.get(demand, 0)
        if known + change:
            self._counts[demand] = known + change
            if not known and demand.queue not in self._paused:
                self._open[demand] = None
        elif known:
            del self._counts[demand]
            self._open.pop(demand, None)
            if demand in self._aside:
                self._take_back(demand)

    def servable(self, lacks: Callable[[Demand], Lack | None]) -> dict[Demand, int]:
        """The demands that some agent serves now, with their counts; `lacks`: what keeps all agents
        from serving one, None: nothing."""
        found: dict[Demand, int] = {}
        for demand in list(self._open):
            if self._serves(demand, lacks):
                found[demand] = self._counts[demand]
        return found

    def any_servable(self, lacks: Callable[[Demand], Lack | None]) -> bool:
        """Whether there are any."""
        return any(self._serves(demand, lacks) for demand in list(self._open))

    def reopen(self, agent: AgentSlot) -> None:
        """An agent came or changed."""
        if not self._lacking:
            return
        everything: tuple[Lack, ...] = (ROOM, agent.name, *agent.labels.items())
        for queue in agent.queues:
            lacking = self._lacking.get(queue)
            if lacking is None:
                continue
            for has in everything:
                for demand in lacking.pop(has, ()):
                    del self._aside[demand]
                    self._open[demand] = None
            if not lacking:
                del self._lacking[queue]

    def reopen_all(self) -> None:
        """Any agent may have changed."""
        self._aside.clear()
        self._lacking.clear()
        self._open = {demand: None for demand in self if demand.queue not in self._paused}

    def _serves(self, demand: Demand, lacks: Callable[[Demand], Lack | None]) -> bool:
        """Whether some agent does; else it is set aside."""
        lack = lacks(demand)
        if lack is None:
            return True
        del self._open[demand]
        self._aside[demand] = lack
        self._lacking.setdefault(demand.queue, {}).setdefault(lack, {})[demand] = None
        return False

    def _take_back(self, demand: Demand) -> None:
        lack = self._aside.pop(demand)
        lacking = self._lacking[demand.queue]
        del lacking[lack][demand]
        if not lacking[lack]:
            del lacking[lack]
            if not lacking:
                del self._lacking[demand.queue]
