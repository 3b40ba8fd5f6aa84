"""Lists of jobs: pages by every filter, with bounded work a page. Queries live here.

One of the indexed filters alone is answered by its index, several states or queues by the index for
each of them. Everything else looks through the jobs
from new to old in slices, lets others run between two of them, and ends the page when its time is
up: a page may be short, or empty, and still have a cursor.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, select

from remote_protocol.ids import ULID_ENTROPY, make_ulid
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Job
from remote_server.store.members import beyond
from remote_server.store.ports import Reader, Row
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.rows import SELECT_LISTED_JOB, listed_job_from
from remote_server.store.schema import jobs
from remote_server.store.specifications import Specs

MAX_PAGE: Final = 1000
PAGE_SIZE: Final = 4 * 1024 * 1024
"""Characters of specifications after which a page ends, whatever its limit."""
SLICE: Final = 4000
"""Jobs that are looked through without letting others run: some milliseconds."""
SEARCH_TIME: Final = 1.0
"""Seconds of looking through jobs after which a page ends."""
MERGED: Final = 8
"""Queues whose indexes are merged for a page; jobs of more of them are looked for in slices."""
_NEWEST: Final = "~"
_OLDEST: Final = ""
_ACTOR_ID: Final = 26
# `submitted_by` is ID NAME.
_START: Final[ColumnElement[Any]] = literal_column("1")
_LENGTH: Final[ColumnElement[Any]] = literal_column(str(_ACTOR_ID))
_REST: Final[ColumnElement[Any]] = literal_column(str(_ACTOR_ID + 2))
_BEHIND: Final = (
    select(jobs.c.id)
    .where(jobs.c.id < bindparam("before"))
    .order_by(jobs.c.id.desc())
    .limit(literal_column("1"))
    .offset(bindparam("skipped"))
)

# As many run as agents have places: they are sorted, not looked for.
_LONGEST: Final = (
    select(jobs.c.id)
    .where(is_state(jobs.c.state, "running"))
    .order_by(jobs.c.started_at, jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list has; what is not given does not matter."""

    states: frozenset[JobState] = frozenset()
    queue: str | None = None
    queues: frozenset[str] | None = None
    """Any of these; only where `queue` is not given."""
    agent: str | None = None
    name: str | None = None
    """A part of the name; upper and lower case are the same."""
    part: str | None = None
    """A part of the id: its start, its end or anything between."""
    labels: tuple[tuple[str, str | None], ...] = ()
    """Labels that the job demands, with any value where None."""
    annotations: tuple[tuple[str, str | None], ...] = ()
    """Annotations that the job has, in the same way."""
    since: float | None = None
    """Submitted then or later, in Unix seconds."""
    until: float | None = None
    """Submitted before."""
    submitter: str | None = None
    """Name or id of the token that it was submitted with."""
    group: str | None = None
    """The group that it is a member of."""
    reasons: frozenset[EndReason] = frozenset()
    """Why it ended: any of these."""

    @property
    def indexed(self) -> bool:
        """Whether an index leads from one of its jobs to the next."""
        queues = self.queue is not None or self.queues is not None
        several = bool(self.states) + queues + (self.agent is not None) > 1
        many = len(self.queues or ()) > MERGED
        return not (
            several
            or many
            or self.name
            or self.part
            or self.labels
            or self.annotations
            or self.group
            or self.submitter
            or self.reasons
        )

    @property
    def range(self) -> tuple[str, str]:
        """The least id, and the one before which all are: ids grow with time."""
        floor = _OLDEST if self.since is None else _id_at(self.since)
        before = _NEWEST if self.until is None else _id_at(self.until)
        if self.group is not None:
            floor, before = max(floor, self.group), min(before, beyond(self.group))
        return floor, before

    @property
    def parameters(self) -> dict[str, object]:
        """Values of the conditions, by name."""
        found: dict[str, object] = {
            f"state_{number}": state.value for number, state in enumerate(sorted(self.states))
        }
        for number, queue in enumerate(sorted(self.queues or ())):
            found[f"queue_{number:03}"] = queue
        for number, reason in enumerate(sorted(self.reasons)):
            found[f"reason_{number}"] = reason.value
        for name in ("queue", "agent", "submitter", "group"):
            value = getattr(self, name)
            if value is not None:
                found[f"in_{name}"] = value
        for name, text in (("name", self.name), ("part", self.part)):
            if text is not None:
                found[f"in_{name}"] = f"%{_escaped(text)}%"
        return found

    def matches(self, job: Job) -> bool:
        """Whether the job demands the labels and has the annotations."""
        spec = job.spec
        return _has(spec.labels, self.labels) and _has(spec.annotations, self.annotations)


EVERY_JOB: Final = JobFilter()


def _has(own: Mapping[str, str], wanted: tuple[tuple[str, str | None], ...]) -> bool:
    return all(key in own and value in (None, own[key]) for key, value in wanted)


def _id_at(moment: float) -> str:
    milliseconds = min(max(int(moment * 1000), 0), (1 << 48) - 1)
    return make_ulid(milliseconds, bytes(ULID_ENTROPY))


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


@lru_cache(maxsize=64)
def _page(names: frozenset[str], by_id: bool) -> Select[Any]:
    """The jobs in a range of ids that meet the conditions with these names."""
    conditions: list[ColumnElement[bool]] = [
        jobs.c.id < bindparam("before"),
        jobs.c.id >= bindparam("floor"),
    ]
    states = sorted(name for name in names if name.startswith("state_"))
    if len(states) == 1:
        conditions.append(jobs.c.state == bindparam(states[0]))
    elif states:
        conditions.append(jobs.c.state.in_([bindparam(name) for name in states]))
    queues = sorted(name for name in names if name.startswith("queue_"))
    if queues:
        conditions.append(jobs.c.queue.in_([bindparam(name) for name in queues]))
    reasons = sorted(name for name in names if name.startswith("reason_"))
    if reasons:
        conditions.append(jobs.c.end_reason.in_([bindparam(name) for name in reasons]))
    for name in ("queue", "agent"):
        if f"in_{name}" in names:
            conditions.append(jobs.c[name] == bindparam(f"in_{name}"))
    if "in_group" in names:
        conditions.append(jobs.c.group_id == bindparam("in_group"))
    if "in_name" in names:
        conditions.append(jobs.c.name.ilike(bindparam("in_name"), escape="!"))
    if "in_part" in names:
        conditions.append(jobs.c.id.ilike(bindparam("in_part"), escape="!"))
    if "in_submitter" in names:
        actor = (
            func.substr(jobs.c.submitted_by, _START, _LENGTH)
            if by_id
            else func.substr(jobs.c.submitted_by, _REST)
        )
        conditions.append(actor == bindparam("in_submitter"))
    return (
        SELECT_LISTED_JOB.where(*conditions)
        .order_by(jobs.c.id.desc())
        .limit(bindparam("count"))
        .offset(NONE_SKIPPED)
    )


class JobLists(Repository):
    """The repository of lists of jobs."""

    specs: Specs

    async def jobs(
        self, wanted: JobFilter = EVERY_JOB, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Job], str | None]:
        """A page of jobs, the newest first, and the cursor of the next page (None: the last).

        What is large in their specifications is cut; `Job.abridged` names it. A page ends after
        `limit` jobs, PAGE_SIZE characters or SEARCH_TIME seconds of looking.
        """
        page = _Page(wanted, max(1, min(limit, MAX_PAGE)), self.specs)
        if wanted.queues is not None and not wanted.queues:
            return [], None
        floor, before = wanted.range
        if cursor is not None:
            before = min(before, cursor)
        if wanted.indexed:
            page.add(await self._indexed(wanted, floor, before, page.left + 1))
            return page.jobs, page.last if page.full else None
        spent = 0.0
        while True:
            begun = time.perf_counter()
            least = max(floor, await self._behind(before))
            page.add(await self._rows(wanted, least, before, page.left + 1))
            if page.full:
                return page.jobs, page.last
            if least <= floor:
                return page.jobs, None
            before = least
            spent += time.perf_counter() - begun
            if spent > SEARCH_TIME:
                return page.jobs, least
            await asyncio.sleep(0)

    async def longest(self, count: int) -> list[str]:
        """The ids of the `count` jobs that have run the longest."""
        rows = await self._database.read(
            lambda reader: reader.all(_LONGEST, {"count": count}), long=True
        )
        return [str(row.id) for row in rows]

    async def _behind(self, before: str) -> str:
        """The id with which a slice of the jobs before one of them ends; "" when they are few."""
        where = {"before": before, "skipped": SLICE - 1}
        row = await self._database.read(lambda reader: reader.one(_BEHIND, where), long=True)
        return _OLDEST if row is None else str(row.id)

    async def _indexed(self, wanted: JobFilter, floor: str, before: str, count: int) -> list[Row]:
        """The first `count` rows of a filter with an index; several states or queues have one
        each."""
        parts = [replace(wanted, states=frozenset({state})) for state in wanted.states]
        parts += [replace(wanted, queue=queue, queues=None) for queue in wanted.queues or ()]
        parts = parts or [wanted]
        questions = [part.parameters for part in parts]
        more = {"floor": floor, "before": before, "count": count}

        def find(reader: Reader) -> list[Row]:
            # At one moment: between two, a job may go from one state to the next.
            return [
                row
                for where in questions
                for row in reader.all(_page(frozenset(where), False), where | more)
            ]

        rows = await self._database.read(find, long=True)
        return sorted(rows, key=lambda row: str(row.id), reverse=True)[:count]

    async def _rows(self, wanted: JobFilter, floor: str, before: str, count: int) -> list[Row]:
        where = wanted.parameters
        by_id = len(wanted.submitter or "") == _ACTOR_ID
        statement = _page(frozenset(where), by_id)
        # Labels and annotations are looked at here, in Python: every job of the slice has to come.
        most = SLICE if wanted.labels or wanted.annotations else count
        where |= {"floor": floor, "before": before, "count": most}

        def find(reader: Reader) -> list[Row]:
            return reader.all(statement, where)

        return await self._database.read(find, long=True)


class _Page:
    """A page that is being filled."""

    def __init__(self, wanted: JobFilter, count: int, parsed: Specs) -> None:
        self.jobs: list[Job] = []
        self.full = False
        """There is a job that does not fit."""
        self._wanted = wanted
        self._count = count
        self._specs = parsed
        self._room = PAGE_SIZE

    @property
    def left(self) -> int:
        """Jobs that it still takes."""
        return self._count - len(self.jobs)

    @property
    def last(self) -> str | None:
        """The id of its last job."""
        return self.jobs[-1].id if self.jobs else None

    def add(self, rows: list[Row]) -> None:
        """Add the jobs that are wanted until it is full."""
        for row in rows:
            job = listed_job_from(row, self._specs)
            if not self._wanted.matches(job):
                continue
            self._room -= len(row.spec) + len(row.excerpt or "")
            if not self.left or (self.jobs and self._room < 0):
                self.full = True
                return
            self.jobs.append(job)
