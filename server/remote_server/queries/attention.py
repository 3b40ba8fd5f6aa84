"""What needs somebody's attention, in words. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from remote_protocol.states import AgentState
from remote_server.domain.capacity import DEFAULT_CLASS
from remote_server.domain.demand import able_labels, kind_of
from remote_server.domain.model import Demand, Token
from remote_server.queries.fleet import HELD, Member

MOST_DEMANDS: Final = 200
"""Different demands that are looked at, those of most jobs first."""
_NAMED: Final = 3
"""Agents in one state that are named one by one."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing."""

    tone: str
    """`error`, `warning` or `note`."""
    icon: str
    lead: str
    more: str
    path: str
    """Where to go, relative to the root of the pages."""
    go: str
    """What is there."""
    at: float | None = None
    """Since when, or until when (Unix seconds)."""
    for_admins: bool = False


def jobs(count: int) -> str:
    """`3 jobs wait`."""
    return f"{count:,} {'job waits' if count == 1 else 'jobs wait'}"


class Fitting:
    """Which agents could take which jobs."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._by_queue: dict[str, list[Member]] = {}
        self._by_label: dict[tuple[str, str], list[Member]] = {}
        self._by_name: dict[str, Member] = {}
        for member in members:
            self._by_name[member.row.name] = member
            for queue in member.row.queues:
                self._by_queue.setdefault(queue, []).append(member)
            for label in _labels(member).items():
                self._by_label.setdefault(label, []).append(member)

    def serving(self, queue: str) -> Sequence[Member]:
        """The agents of a queue."""
        return self._by_queue.get(queue, ())

    def can(self, demand: Demand, which: Callable[[Member], bool]) -> bool:
        """Whether one of the agents that `which` picks would take such a job if it held none."""
        if demand.agent is not None:
            only = self._by_name.get(demand.agent)
            return only is not None and which(only) and _takes(only, demand)
        found = self.serving(demand.queue)
        for label in demand.labels:
            found = min(found, self._by_label.get(label, ()), key=len)
        return any(which(member) and _takes(member, demand) for member in found)

    def why_never(self, demand: Demand) -> str:
        """Why no agent that is enrolled can take such a job; empty when one can."""
        if self.can(demand, lambda _: True):
            return ""
        if demand.agent is not None:
            if demand.agent not in self._by_name:
                return f"the agent {demand.agent} does not exist"
            return f"the agent {demand.agent} lacks the queue {demand.queue} or what they ask for"
        if not self.serving(demand.queue):
            return f"no agent serves {demand.queue}"
        for key, value in demand.labels:
            having = self._by_label.get((key, value), ())
            if not any(demand.queue in member.row.queues for member in having):
                if (kind := kind_of(key)) is not None:
                    return f"no agent of queue {demand.queue} runs jobs of the kind {kind}"
                return f"no agent of queue {demand.queue} has the label {key}={value}"
        return f"no agent of queue {demand.queue} has all that they ask for"


def _labels(member: Member) -> Mapping[str, str]:
    return able_labels(member.row.labels, member.row.kinds)


def _takes(member: Member, demand: Demand) -> bool:
    row, labels = member.row, _labels(member)
    kind = demand.queue if demand.queue in row.capacity else DEFAULT_CLASS
    return (
        demand.queue in row.queues
        and row.capacity.get(kind, 0) > 0
        and all(labels.get(key) == value for key, value in demand.labels)
    )


def takes_jobs(member: Member) -> bool:
    """Whether an agent gets jobs now."""
    return member.condition == "online"


def of_queues(
    fitting: Fitting, waiting: Mapping[str, int], paused: Iterable[str], oldest: Mapping[str, float]
) -> list[Notice]:
    """Queues in which jobs wait and none can start. `waiting`: jobs that wait in each; `oldest`:
    since when, as far as it is known."""
    found = []
    held = set(paused)
    for name in sorted(waiting):
        agents = fitting.serving(name)
        path, count = f"queues/{name}", waiting[name]
        if not count:
            continue
        if name in held:
            found.append(
                Notice(
                    "warning",
                    "paused",
                    f"Queue {name} is paused.",
                    f"{jobs(count)}.",
                    path,
                    "Show queue",
                    oldest.get(name),
                )
            )
        elif not any(member.state is AgentState.ONLINE for member in agents):
            lead = f"No agent of queue {name} is online." if agents else f"No agent serves {name}."
            found.append(
                Notice(
                    "error", "error", lead, f"{jobs(count)}.", path, "Show queue", oldest.get(name)
                )
            )
    return found


async def of_demands(fitting: Fitting, demands: Mapping[Demand, int]) -> list[Notice]:
    """Jobs that no agent can ever take, as agents are now; queues without agents say it
    themselves. Others run between two demands: each may look at every agent."""
    found: dict[str, tuple[int, str]] = {}
    for demand in _largest(demands):
        why = fitting.why_never(demand) if fitting.serving(demand.queue) or demand.agent else ""
        if why:
            count, _ = found.get(why, (0, ""))
            found[why] = (count + demands[demand], demand.queue)
        await asyncio.sleep(0)
    return [
        Notice(
            "error",
            "error",
            f"{count:,} {'job' if count == 1 else 'jobs'} can never start:",
            f"{why}.",
            f"jobs?state=queued&queue={queue}",
            "Why they wait" if count > 1 else "Why it waits",
        )
        for why, (count, queue) in found.items()
    ]


async def stuck(fitting: Fitting, demands: Mapping[Demand, int]) -> int:
    """How many waiting jobs no agent that gets jobs now would take. Others run in between."""
    count = 0
    for demand in _largest(demands):
        count += 0 if fitting.can(demand, takes_jobs) else demands[demand]
        await asyncio.sleep(0)
    return count


def _largest(demands: Mapping[Demand, int]) -> list[Demand]:
    return sorted(demands, key=lambda demand: demands[demand], reverse=True)[:MOST_DEMANDS]


def of_agents(members: Sequence[Member], version: str) -> list[Notice]:
    """Agents that are away, that take no jobs, or that run another version than the server."""
    found: list[Notice] = []
    for state, tone, icon, one, many in (
        ("stale", "warning", "stale", "its link is open, but it is silent.", "silent for a while"),
        ("offline", "warning", "offline", "it gets no jobs until it is back.", "they get no jobs"),
        ("warning", "warning", "warn", "", "they say so themselves"),
    ):
        chosen = [member for member in members if member.condition == state]
        words = "takes no jobs" if state == "warning" else f"is {state}"
        if len(chosen) <= _NAMED:
            found += [
                Notice(
                    tone,
                    icon,
                    f"{member.row.name} {words}:",
                    one or f"{(member.row.reason or 'it says so itself').rstrip('.')}.",
                    f"agents/{member.row.name}",
                    "Show agent",
                    None if state == "warning" else member.row.last_seen_at,
                )
                for member in chosen
            ]
        else:
            several = "take no jobs" if state == "warning" else f"are {state}"
            where = "held" if state == "warning" else state
            lead = f"{len(chosen):,} agents {several}:"
            found.append(Notice(tone, icon, lead, f"{many}.", f"agents?state={where}", "List them"))
    return found + _versions(members, version)


def _versions(members: Sequence[Member], version: str) -> list[Notice]:
    counts: dict[str, int] = {}
    for member in members:
        if member.row.version and member.row.version != version:
            counts[member.row.version] = counts.get(member.row.version, 0) + 1
    most = sorted(counts, key=lambda name: counts[name], reverse=True)[:_NAMED]
    return [
        Notice(
            "note",
            "restart",
            f"{counts[name]:,} {'agent runs' if counts[name] == 1 else 'agents run'} {name},",
            f"the server {version}.",
            f"agents?version={quote(name, safe='')}",
            "List them" if counts[name] > 1 else "Show it",
        )
        for name in most
    ]


def of_archive(fault: str) -> list[Notice]:
    """An archive that takes no logs, and why; nothing of them is lost meanwhile."""
    if not fault:
        return []
    lead = "Logs cannot be moved to their archive:"
    return [Notice("warning", "disk", lead, f"{fault.rstrip('.')}.", "about", "About")]


def of_copies(fault: str) -> list[Notice]:
    """Logs that cannot be copied elsewhere, and why."""
    if not fault:
        return []
    lead = "Logs cannot be copied to their bucket:"
    return [Notice("warning", "disk", lead, f"{fault.rstrip('.')}.", "about", "About")]


def of_tokens(tokens: Iterable[Token]) -> list[Notice]:
    """Tokens that expire soon."""
    kinds = {
        "api": "API token",
        "agent": "The token of agent",
        "registration": "Registration token",
    }
    return [
        Notice(
            "note",
            "tokens",
            f"{kinds.get(token.kind, 'Token')} {token.agent or token.name} expires soon.",
            "Make a new one before it does.",
            f"tokens?kind={token.kind}",
            "Tokens",
            token.expires_at,
            for_admins=True,
        )
        for token in tokens
    ]


def held_places(members: Iterable[Member], busy_of: Callable[[str], int]) -> int:
    """Free places of agents that are online and get no jobs."""
    return sum(
        max(0, member.places - busy_of(member.row.name))
        for member in members
        if member.condition in HELD
    )
