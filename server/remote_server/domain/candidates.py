"""Which agents are nearest to taking a waiting job, and all that keeps each of them from it. Pure.

`domain.pending` says in a sentence why a job waits; this has the whole table behind the sentence:
each agent is judged by every condition, so that nobody repairs one only to meet the next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum, StrEnum
from heapq import nsmallest
from typing import Final, NamedTuple

from remote_server.domain.capacity import DEFAULT_CLASS, AgentSlot, Share, shares_of
from remote_server.domain.demand import able_labels, kind_of
from remote_server.domain.model import Agent, Demand


class Kind(IntEnum):
    """What a condition is about; the larger, the more has to be done before it is met."""

    ROOM = 0
    """It becomes free by itself."""
    TAKES_JOBS = 1
    ONLINE = 2
    QUEUE = 3
    LABEL = 4
    RUNS = 5
    """The kind of job, where not every agent runs it."""
    AGENT = 6
    """The job wants one agent only."""


_FIXED: Final = frozenset({Kind.QUEUE, Kind.LABEL, Kind.RUNS, Kind.AGENT})
"""What an agent is, whatever it does now."""


class Outlook(StrEnum):
    """When such a job would start, the best first."""

    NOW = "now"
    """An agent has room for it."""
    LATER = "later"
    """As soon as an agent that takes jobs has room."""
    BLOCKED = "blocked"
    """Only after somebody has acted: agents that could run it are offline, paused or draining."""
    NEVER = "never"
    """No agent that is registered could run it, however free it is."""


class Requirement(NamedTuple):
    """A condition that a job makes of its agent."""

    kind: Kind
    wanted: str = ""
    """The queue, the label (KEY=VALUE), the agent or the share of it."""


class Finding(NamedTuple):
    """Whether an agent meets a condition, and what it has."""

    met: bool | None
    """None: nobody can say while the agent is away."""
    said: str


class Candidate(NamedTuple):
    """An agent with a finding for each requirement, in their order."""

    agent: str
    findings: tuple[Finding, ...]
    distance: tuple[int, int]
    """How many conditions it misses, and how hard they are to meet."""

    @property
    def misses(self) -> int:
        """Conditions that it does not meet."""
        return self.distance[0]


class Facts(NamedTuple):
    """What is known of an agent that may or may not be connected."""

    name: str
    queues: Collection[str]
    labels: Mapping[str, str]
    capacity: Mapping[str, int]
    blocked: str
    """Why it takes no jobs; empty when it does, as far as that is known."""
    slot: AgentSlot | None
    """None: it is not connected."""


def facts_of_slot(slot: AgentSlot, avoided: bool = False) -> Facts:
    """A connected agent; `avoided`: it gave the job back and is not offered it for a while."""
    blocked = "" if slot.eligible else slot.reason or "not accepting jobs"
    if avoided:
        blocked = blocked or "it gave this job back just now"
    return Facts(slot.name, slot.queues, slot.labels, slot.capacity, blocked, slot)


def facts_of_row(agent: Agent) -> Facts:
    """An agent that is not connected."""
    blocked = blocked_by(agent.paused, agent.draining, agent.pause_comment)
    labels = able_labels(agent.labels, agent.platform.kinds)
    return Facts(agent.name, agent.queues, labels, agent.capacity, blocked, None)


def blocked_by(paused: bool, draining: bool, comment: str) -> str:
    """Why an agent that is not connected would take no jobs, as far as people decided that."""
    if paused:
        return f"paused: {comment}" if comment else "paused"
    return "draining" if draining else ""


def requirements_of(demand: Demand) -> tuple[Requirement, ...]:
    """Everything that an agent must be or have to get such a job, in the order in which people
    look at it."""
    share = "" if demand.weight is None else f"{demand.weight:g}"
    return (
        *(() if demand.agent is None else (Requirement(Kind.AGENT, demand.agent),)),
        Requirement(Kind.QUEUE, demand.queue),
        *(_label_requirement(key, value) for key, value in demand.labels),
        Requirement(Kind.ONLINE),
        Requirement(Kind.TAKES_JOBS),
        Requirement(Kind.ROOM, share),
    )


def _label_requirement(key: str, value: str) -> Requirement:
    kind = kind_of(key)
    return (
        Requirement(Kind.LABEL, f"{key}={value}") if kind is None else Requirement(Kind.RUNS, kind)
    )


def judge(demand: Demand, agent: Facts) -> Candidate:
    """An agent, judged by every condition."""
    return _judge(demand, requirements_of(demand), agent)


def _judge(demand: Demand, requirements: tuple[Requirement, ...], agent: Facts) -> Candidate:
    findings: list[Finding] = []
    for kind, wanted in requirements:
        match kind:
            case Kind.AGENT:
                found = Finding(agent.name == wanted, agent.name)
            case Kind.QUEUE:
                found = _queue(agent, wanted)
            case Kind.LABEL:
                key, _, value = wanted.partition("=")
                found = Finding(agent.labels.get(key) == value, agent.labels.get(key, "none"))
            case Kind.RUNS:
                runs = any(kind_of(key) == wanted for key in agent.labels)
                found = Finding(runs, "yes" if runs else "no")
            case Kind.ONLINE:
                found = Finding(agent.slot is not None, "offline" if agent.slot is None else "yes")
            case Kind.TAKES_JOBS:
                found = _takes_jobs(agent)
            case Kind.ROOM:
                found = _room(agent, demand)
        findings.append(found)
    pairs = zip(requirements, findings, strict=True)
    missed = [want.kind for want, found in pairs if found.met is False]
    return Candidate(agent.name, tuple(findings), (len(missed), sum(missed)))


def nearest(demand: Demand, agents: Iterable[Facts], count: int) -> list[Candidate]:
    """The `count` agents that miss the least, the nearest first."""
    wanted = requirements_of(demand)
    judged = (_judge(demand, wanted, agent) for agent in agents)
    return nsmallest(count, judged, key=lambda candidate: (candidate.distance, candidate.agent))


def outlook(demand: Demand, agents: Iterable[Facts]) -> Outlook:
    """When one of these agents would take such a job, as far as agents decide it."""
    wanted = requirements_of(demand)
    found = {_prospect(demand, wanted, agent) for agent in agents}
    return next((one for one in Outlook if one in found), Outlook.NEVER)


def _prospect(demand: Demand, requirements: tuple[Requirement, ...], agent: Facts) -> Outlook:
    judged = _judge(demand, requirements, agent)
    pairs = zip(requirements, judged.findings, strict=True)
    missed = {want.kind for want, found in pairs if found.met is False}
    if not missed:
        return Outlook.NOW
    if missed & _FIXED or _class_of(agent, demand)[1] <= 0:
        return Outlook.NEVER
    return Outlook.LATER if missed == {Kind.ROOM} else Outlook.BLOCKED


def _class_of(agent: Facts, demand: Demand) -> tuple[str, int]:
    """The capacity class of such jobs there, and how many of them it takes."""
    kind = demand.queue if demand.queue in agent.capacity else DEFAULT_CLASS
    return kind, agent.capacity.get(kind, 0)


def _queue(agent: Facts, queue: str) -> Finding:
    if queue in agent.queues:
        return Finding(True, queue)
    return Finding(False, ", ".join(sorted(agent.queues)) or "none")


def _takes_jobs(agent: Facts) -> Finding:
    if agent.blocked:
        return Finding(False, agent.blocked)
    return Finding(True, "yes") if agent.slot is not None else Finding(None, "not known")


def _room(agent: Facts, demand: Demand) -> Finding:
    kind, size = _class_of(agent, demand)
    if size <= 0:
        return Finding(False, "no capacity for this queue")
    if agent.slot is None:
        return Finding(None, "not known")
    share = shares_of(agent.slot).get(kind) or Share(size)
    if demand.weight is None:
        free = min(share.room, size)
        return Finding(share.fits(None), f"{free} of {size} free" if free else "full")
    left = max(0.0, float(1 - share.used))
    return Finding(share.fits(demand.weight), f"{left:.2g} free" if left else "full")
