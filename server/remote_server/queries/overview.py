"""What the fleet does now: figures, what needs attention, and the few jobs worth a look.

Every part is bounded: counts are kept in memory, lists are short and led by an index, and agents
are read in short. However many look, all of it takes a twentieth of the time at the most.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import remote_server
from remote_protocol.api.jobs import JobView
from remote_protocol.api.queues import QueueView
from remote_protocol.states import JobState
from remote_server.disk.reserve import Reserve
from remote_server.domain.model import Queue
from remote_server.errors import NotFound, ServerError
from remote_server.logs import Logs
from remote_server.queries import attention
from remote_server.queries.attention import Fitting, Notice
from remote_server.queries.fleet import FleetReader, Member, Tally, tally
from remote_server.queries.history import History, Minute
from remote_server.queries.jobs import job_views
from remote_server.queries.memo import Memo
from remote_server.queries.queues import queue_views
from remote_server.queries.sources import Sources
from remote_server.store import JobFilter

MOST_CELLS: Final = 400
"""Agents that are drawn one by one."""
_QUEUES: Final = 12
_JOBS: Final = 5
_NOTICES: Final = 12
_EXPIRING: Final = 5
_SOON: Final = 14 * 86400.0
_LEAST: Final = 0.2
"""Seconds for which it is kept."""
_SELDOM: Final = 3.0
"""Seconds for which the numbers on every page are kept."""
_HOUR: Final = 60


@dataclass(frozen=True, slots=True)
class Cell:
    """One agent as it is drawn among the others."""

    name: str
    condition: str
    busy: int
    places: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it."""

    at: float
    """When it was read (Unix seconds)."""
    agents: Tally
    busy: int
    places: int
    held: int
    """Free places of agents that get no jobs."""
    waiting: int
    waiting_queues: int
    stuck: int
    """Of the waiting jobs, those that no agent would take as things are."""
    ended: int
    failed: int
    """In the last hour, or since the start when that is later."""
    since: float
    """Since when ends are counted."""
    minutes: Sequence[Minute]
    notices: Sequence[Notice]
    queues: Sequence[QueueView]
    queue_count: int
    cells: Sequence[Cell]
    """All agents, or of a large fleet only those that are not simply online."""
    longest: Sequence[JobView]
    failures: Sequence[JobView]
    jobs: int
    """Jobs that there are, ended ones included."""

    @property
    def free(self) -> int:
        """Places for jobs now."""
        return max(0, self.places - self.busy - self.held)


class Figures(NamedTuple):
    """The numbers beside the ways to the pages."""

    agents: int
    queues: int
    running: int
    attention: int
    """Errors and warnings that need attention."""


class OverviewReader:
    """Reads it."""

    def __init__(
        self,
        sources: Sources,
        fleet: FleetReader,
        reserve: Reserve,
        history: History,
        logs: Logs,
    ) -> None:
        self._sources = sources
        self._fleet = fleet
        self._reserve = reserve
        self._history = history
        self._logs = logs
        self._memo: Memo[Overview] = Memo(self._read, least=_LEAST)
        self._figures: Memo[Figures | None] = Memo(self._read_figures, least=_SELDOM)

    async def read(self) -> Overview:
        """How it is now, or was a moment ago."""
        return await self._memo.get()

    async def figures(self) -> Figures | None:
        """The numbers that every page shows, some seconds old; None while they cannot be read."""
        return await self._figures.get()

    async def _read_figures(self) -> Figures | None:
        try:
            seen = await self.read()
        except ServerError:
            return None
        urgent = sum(notice.tone != "note" for notice in seen.notices)
        return Figures(seen.agents.total, seen.queue_count, seen.busy, urgent)

    async def _read(self) -> Overview:
        sources, store, now = self._sources, self._sources.store, time.time()
        members = await self._fleet.members()
        counts = await store.counts()
        queues = await store.queues()
        demands = await store.demands()
        paused = {queue.name for queue in queues if queue.paused}
        waiting = _in_state(counts, JobState.QUEUED)
        running = _in_state(counts, JobState.RUNNING, JobState.ASSIGNED)
        fitting = Fitting(members)
        stuck = await attention.stuck(fitting, demands)
        stuck += sum(waiting.get(name, 0) for name in paused)
        views = await queue_views(sources, _worth_showing(queues, waiting))
        oldest = {v.name: now - v.oldest_seconds for v in views if v.oldest_seconds is not None}
        expiring = await store.expiring_tokens(now, now + _SOON, longer=_SOON, limit=_EXPIRING)
        lasted = self._history.last(_HOUR)
        failed, _ = await store.jobs(JobFilter(states=frozenset({JobState.FAILED})), limit=_JOBS)
        return Overview(
            at=now,
            agents=tally(members),
            busy=sum(running.values()),
            places=sum(member.places for member in members if member.state != "offline"),
            held=attention.held_places(members, self._busy),
            waiting=sum(waiting.values()),
            waiting_queues=sum(1 for count in waiting.values() if count),
            stuck=min(stuck, sum(waiting.values())),
            ended=sum(minute.ended for minute in lasted),
            failed=sum(minute.failed for minute in lasted),
            since=self._history.since,
            minutes=self._history.last(6 * _HOUR),
            notices=[
                *self._disk(),
                *attention.of_archive(self._logs.archive_fault),
                *attention.of_copies(self._logs.copy_fault),
                *attention.of_queues(fitting, waiting, paused, oldest),
                *await attention.of_demands(fitting, demands),
                *attention.of_agents(members, remote_server.__version__),
                *attention.of_tokens(expiring),
            ][:_NOTICES],
            queues=views,
            queue_count=len(queues),
            cells=self._cells(members),
            longest=await self._longest(),
            failures=await job_views(sources, failed, values_shown=False),
            jobs=sum(counts.values()),
        )

    def _busy(self, name: str) -> int:
        slot = self._sources.agents.slot(name)
        return 0 if slot is None else len(slot.leases)

    def _cells(self, members: Sequence[Member]) -> list[Cell]:
        shown = members
        if len(members) > MOST_CELLS:
            shown = [member for member in members if member.condition != "online"][:MOST_CELLS]
        return [Cell(m.row.name, m.condition, self._busy(m.row.name), m.places) for m in shown]

    async def _longest(self) -> list[JobView]:
        store, found = self._sources.store, []
        for name in await store.longest(_JOBS):
            try:
                found.append(await store.job(name))
            except NotFound:  # retention took it meanwhile
                continue
        running = [job for job in found if job.state is JobState.RUNNING]
        return await job_views(self._sources, running, values_shown=False)

    def _disk(self) -> list[Notice]:
        lack = self._reserve.lack()
        if not lack:
            return []
        return [
            Notice(
                "error",
                "disk",
                "The server takes no jobs and no logs:",
                f"{lack}.",
                "about",
                "About",
            )
        ]


def _in_state(counts: Mapping[tuple[str, JobState], int], *states: JobState) -> dict[str, int]:
    found: dict[str, int] = {}
    for (queue, state), count in counts.items():
        if state in states and count:
            found[queue] = found.get(queue, 0) + count
    return found


def _worth_showing(queues: Sequence[Queue], waiting: Mapping[str, int]) -> list[Queue]:
    """All queues, or those in which most jobs wait; by name, the default one first."""
    chosen = sorted(queues, key=lambda queue: -waiting.get(queue.name, 0))[:_QUEUES]
    return sorted(chosen, key=lambda queue: (not queue.default, queue.name))
