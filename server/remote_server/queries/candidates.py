"""The agents that a waiting job may get, each with all that keeps it from the job.

Reads the store and the live links; bounded, however large the fleet is: `domain.candidates` judges.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Final

from remote_protocol.states import JobState
from remote_server.domain.candidates import (
    Candidate,
    Facts,
    Kind,
    Requirement,
    facts_of_row,
    facts_of_slot,
    nearest,
    requirements_of,
)
from remote_server.domain.demand import demand_of
from remote_server.domain.model import Demand, Job
from remote_server.errors import NotFound
from remote_server.queries.sources import LiveAgents, Sources

SHOWN: Final = 12
"""Agents of the job's queue that are named."""
NEAR: Final = 3
"""Agents of other queues that are named."""
_LOOKED_AT: Final = 1000
"""Agents of the queue, and of others, that are judged: some milliseconds."""
_ROWS: Final = SHOWN
"""Agents that are not connected whose rows are read."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Which agents a job may get, the nearest first."""

    requirements: tuple[Requirement, ...]
    candidates: list[Candidate]
    serving: int
    """Agents that serve the job's queue."""
    fitting: int
    """Those of the judged ones that miss nothing."""
    judged: int
    """Agents that were looked at."""
    facts: dict[str, Facts]
    heard: dict[str, float | None]
    """When each candidate was last heard, in Unix seconds."""

    @property
    def others(self) -> int:
        """Candidates that do not serve the queue."""
        return sum(self.misses(one, Kind.QUEUE) for one in self.candidates)

    def misses(self, one: Candidate, kind: Kind) -> bool:
        """Whether a candidate does not meet a requirement of this kind."""
        pairs = zip(self.requirements, one.findings, strict=True)
        return any(want.kind is kind and found.met is False for want, found in pairs)


async def placement(sources: Sources, job: Job) -> Placement | None:
    """Where a waiting job could run; None when it does not wait."""
    if job.state is not JobState.QUEUED:
        return None
    return await place(sources, demand_of(job.spec), sources.agents.avoided(job.id))


async def place(sources: Sources, demand: Demand, avoided: Collection[str] = ()) -> Placement:
    """Where a job with this demand could run; `avoided`: agents that gave it back."""
    store, links = sources.store, sources.agents
    names = (await store.serving([demand.queue]))[demand.queue]
    if demand.agent is not None and demand.agent not in names:
        names = [demand.agent, *names]
    facts: dict[str, Facts] = {}
    last: dict[str, float | None] = {}
    rows = 0
    for name in islice(names, _LOOKED_AT):
        slot = links.slot(name)
        if slot is not None:
            facts[name] = facts_of_slot(slot, name in avoided)
        elif rows < _ROWS or name == demand.agent:
            rows += 1
            try:
                row = await store.agent(name)
            except NotFound:
                continue
            facts[name], last[name] = facts_of_row(row), row.last_seen_at
    found = nearest(demand, facts.values(), len(facts))
    chosen = found[:SHOWN]
    if demand.agent is None:
        others = _others(links, demand, names)
        facts |= {agent.name: agent for agent in others}
        near = [one for one in nearest(demand, others, NEAR) if one.misses == 1]
        chosen = sorted([*chosen, *near], key=lambda one: (one.distance, one.agent))
    return Placement(
        requirements_of(demand),
        chosen,
        len(names),
        sum(not one.misses for one in found),
        len(found),
        {one.agent: facts[one.agent] for one in chosen},
        {one.agent: links.status(one.agent).seen_at or last.get(one.agent) for one in chosen},
    )


def _others(links: LiveAgents, demand: Demand, serving: list[str]) -> list[Facts]:
    """Connected agents that would take the job if they served its queue."""
    known = set(serving)
    found = []
    for name in islice((name for name in links.names() if name not in known), _LOOKED_AT):
        slot = links.slot(name)
        if slot is not None and slot.eligible and slot.has_labels(demand.labels):
            found.append(facts_of_slot(slot))
    return found
