"""Jobs that wait: what is demanded, who is next, who gets an agent, who waited too long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import merge
from math import inf
from typing import Final, TypeVar

from sqlalchemy import Select, bindparam, func, literal_column, select, update

from remote_protocol.states import (
    EndReason,
    JobEvent,
    JobState,
    advance_job,
)
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.decisions import EXPIRED
from remote_server.domain.demand import demand_from, demand_key, demand_text, policy_from
from remote_server.domain.model import Demand, QueueLoad, Waiting
from remote_server.domain.ready_demands import ReadyDemands
from remote_server.store.arrivals import Arrivals
from remote_server.store.members import agent_of, member_moved
from remote_server.store.ports import Reader, Row, Transaction
from remote_server.store.private_inputs import forget_private_input
from remote_server.store.repository import NONE_SKIPPED, Repository, is_state
from remote_server.store.schema import jobs, queues

_QUEUED: Final = is_state(jobs.c.state, "queued")
_READY: Final = (_QUEUED, jobs.c.deferred == literal_column("0"))
_DEFERRED: Final = (_QUEUED, jobs.c.deferred == literal_column("1"))
_EXPIRING: Final = (_QUEUED, jobs.c.expires_at.is_not(None))

_DEMANDS: Final = (
    select(func.min(jobs.c.demand).label("demand"), func.count().label("number"))
    .where(*_READY)
    .group_by(jobs.c.demand_key)
)
_COUNTS: Final = select(jobs.c.queue, jobs.c.state, func.count().label("number")).group_by(
    jobs.c.queue, jobs.c.state
)
_PAUSED: Final = select(queues.c.name).where(queues.c.paused == literal_column("1"))
_HEADS: Final = (
    select(jobs.c.id, jobs.c.priority)
    .where(*_READY, jobs.c.demand_key == bindparam("wanted"))
    .order_by(jobs.c.priority.desc(), jobs.c.id)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_OLDEST: Final = (
    select(jobs.c.created_at)
    .where(_QUEUED, jobs.c.queue == bindparam("in_queue"))
    .order_by(jobs.c.id)
    .limit(literal_column("1"))
    .offset(NONE_SKIPPED)
)
_DUE: Final = (
    select(jobs.c.id, jobs.c.demand)
    .where(*_DEFERRED, jobs.c.not_before <= bindparam("now"))
    .order_by(jobs.c.not_before)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_BEYOND: Final = (
    select(jobs.c.id, jobs.c.demand)
    .where(*_DEFERRED, jobs.c.not_before > bindparam("moment"))
    .order_by(jobs.c.not_before)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_RELEASE: Final = (
    update(jobs).where(jobs.c.id == bindparam("job")).values(deferred=literal_column("0"))
)
_NEXT_DUE: Final = select(func.min(jobs.c.not_before).label("due")).where(*_DEFERRED)
_NEXT_EXPIRY: Final = select(func.min(jobs.c.expires_at).label("due")).where(*_EXPIRING)
_EXPIRED: Final = (
    select(jobs.c.id, jobs.c.queue, jobs.c.demand, jobs.c.deferred, jobs.c.group_id, jobs.c.policy)
    .where(*_EXPIRING, jobs.c.expires_at <= bindparam("now"))
    .order_by(jobs.c.expires_at)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_EXPIRE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values({name: bindparam(name) for name in ("state", "end_reason", "end_detail", "ended_at")})
)
BATCH: Final = 500
K = TypeVar("K")


class WaitingJobs(Repository):
    """The repository of waiting jobs. What must be counted for every decision is kept in memory and
    follows each commit, in their order; after a failure it is counted again. Nobody else writes:
    a server that may not be the only writer any more has no database any more, either."""

    arrivals: Arrivals
    _ready: ReadyDemands | None = None
    _counts: dict[tuple[str, str], int] | None = None
    _paused: frozenset[str] = frozenset()
    _release_at: float = -inf
    """No job's next attempt is due before; -inf: not known, inf: none waits."""

    def forget_counts(self) -> None:
        """Count again at the next need: a commit failed, or queues were paused or resumed."""
        self._ready = self._counts = None
        self._release_at = -inf

    def follow(self, changes: ChangeSet) -> None:
        """Bring the counts up to date after a commit."""
        if self.arrivals:
            self.arrivals.forget(submitted.job for submitted in changes.submitted)
        if self._ready is not None:
            for text, change in changes.ready_counts.items():
                self._ready.add(demand_from(text), change)
        if self._counts is not None:
            _add(self._counts, changes.state_counts)
        if changes.deferred_until is not None:
            self._release_at = min(self._release_at, changes.deferred_until)

    async def ready(self) -> ReadyDemands:
        """What is demanded by the jobs that are ready; it changes with the commits. Those that wait
        for their next attempt's time are not, and those that are being stored not yet."""
        while self._ready is None:
            # Again, when what was counted was doubted before it was looked at.
            await self._database.read(
                lambda reader: (reader.all(_DEMANDS), reader.all(_PAUSED)), then=self._counted_ready
            )
        return self._ready

    @property
    def ready_now(self) -> ReadyDemands | None:
        """The same; None where it has to be read first."""
        return self._ready

    async def demands(self) -> dict[Demand, int]:
        """How many jobs wait for each demand, those included that are being stored; those of
        paused queues and those that wait for their next attempt's time are left out."""
        wanted = dict(await self.ready())
        for waiting in self.arrivals:
            wanted[waiting.demand] = wanted.get(waiting.demand, 0) + 1
        return {demand: n for demand, n in wanted.items() if demand.queue not in self._paused}

    @property
    def paused_queues(self) -> frozenset[str]:
        """Those whose jobs wait until they are resumed, as they were found with what is ready."""
        return self._paused

    async def counts(self) -> dict[tuple[str, JobState], int]:
        """How many jobs each queue has in each state."""
        while self._counts is None:
            await self._database.read(lambda reader: reader.all(_COUNTS), then=self._counted)
        return {(queue, JobState(state)): n for (queue, state), n in self._counts.items()}

    # Called in the order of the commits, so that each of them is either counted or followed.

    def _counted_ready(self, found: tuple[list[Row], list[Row]]) -> None:
        ready, paused = found
        self._paused = frozenset(row.name for row in paused)
        counts = {demand_from(row.demand): row.number for row in ready}
        self._ready = ReadyDemands(counts, self._paused)

    def _counted(self, found: list[Row]) -> None:
        self._counts = {(row.queue, row.state): row.number for row in found}

    def _know_release(self, found: Row | None) -> None:
        due = None if found is None else found.due
        self._release_at = inf if due is None else float(due)

    async def loads(self, names: Iterable[str]) -> dict[str, QueueLoad]:
        """How busy these queues are."""
        counts = await self.counts()
        found = {}
        for name in names:
            queued = counts.get((name, JobState.QUEUED), 0)
            running = counts.get((name, JobState.RUNNING), 0)
            running += counts.get((name, JobState.ASSIGNED), 0)
            oldest = await self.oldest(name) if queued else None
            found[name] = QueueLoad(queued, running, oldest)
        return found

    async def oldest(self, queue: str) -> float | None:
        """When the queue's oldest waiting job was submitted; None when none waits."""
        row = await self._database.read(lambda reader: reader.one(_OLDEST, {"in_queue": queue}))
        return None if row is None else float(row.created_at)

    async def heads(self, demands: Sequence[Demand], limit: int) -> list[Waiting]:
        """The first `limit` waiting jobs of each demand, all together in rank order; and of those
        that are being stored no fewer."""

        def find(reader: Reader) -> list[list[Waiting]]:
            return [
                [Waiting(row.id, row.priority, demand) for row in reader.all(_HEADS, where)]
                for demand, where in wanted
            ]

        counted = self._ready
        wanted = [
            (demand, {"wanted": demand_key(demand_text(demand)), "count": limit})
            for demand in demands
            if counted is None or demand in counted
        ]
        lines: list[list[Waiting]] = []
        coming: list[Waiting] = []
        if wanted:
            # What is assigned of them is looked at again. Those that are stored before this goes on
            # are found as they are coming now.
            lines = await self._database.read(
                find, ahead=True, then=lambda _: coming.extend(self.arrivals)
            )
        else:
            coming.extend(self.arrivals)
        if coming:
            # Some may have been stored while they were being looked for.
            found, asked = {waiting.job for line in lines for waiting in line}, set(demands)
            more = (one for one in coming if one.demand in asked and one.job not in found)
            lines.append(sorted(more, key=Waiting.rank))
        return lines[0] if len(lines) == 1 else list(merge(*lines, key=Waiting.rank))

    async def release_due(self, now: float) -> int:
        """Let jobs whose next attempt's time has come be assigned; how many.

        Asked at every pass of the dispatcher, so the database only is when something may be due.
        """
        if now < self._release_at:
            return 0
        return await self._release(_DUE, {"now": now, "count": BATCH})

    async def release_beyond(self, moment: float) -> int:
        """The same for jobs whose next attempt's time comes only after this moment."""
        return await self._release(_BEYOND, {"moment": moment, "count": BATCH})

    async def _release(self, which: Select[tuple[str, str]], values: dict[str, float]) -> int:
        due = await self._database.read(lambda reader: reader.all(which, values))

        def release(tx: Transaction) -> int:
            count = 0
            for row in tx.all(which, values):
                tx.run(_RELEASE, {"job": row.id})
                tx.ready(row.demand, 1)
                count += 1
            return count

        released = await self._database.write(release) if due else 0
        self._release_at = -inf
        await self.next_release()
        return released

    async def next_release(self) -> float | None:
        """When the next waiting job's next attempt may be made, or a little before."""
        while self._release_at == -inf:
            await self._database.read(lambda reader: reader.one(_NEXT_DUE), then=self._know_release)
        return None if self._release_at == inf else self._release_at

    async def next_expiry(self) -> float | None:
        """When the next waiting job expires."""
        return await self._minimum(_NEXT_EXPIRY)

    async def _minimum(self, statement: object) -> float | None:
        row: Row = await self._database.read(lambda reader: reader.one(statement))  # type: ignore[arg-type]
        return None if row is None or row.due is None else float(row.due)

    async def expiring(self, now: float) -> list[str]:
        """The jobs that `expire_waiting` would end now."""
        where = {"now": now, "count": BATCH}
        rows = await self._database.read(lambda reader: reader.all(_EXPIRED, where))
        return [row.id for row in rows]

    async def expire_waiting(
        self, now: float, reasons: Mapping[str, str | None] | None = None
    ) -> list[str]:
        """End jobs that waited longer than they may; their ids, at most some hundreds a call.
        `reasons`: why they waited, as far as that is known."""
        known = reasons or {}

        due = await self._database.read(
            lambda reader: reader.all(_EXPIRED, {"now": now, "count": BATCH})
        )

        def expire(tx: Transaction) -> list[str]:
            expired = []
            for row in tx.all(_EXPIRED, {"now": now, "count": BATCH}):
                job = row.id
                state = advance_job(JobState.QUEUED, JobEvent.FAIL)
                why = known.get(job)
                detail = f"{EXPIRED}: {why}" if why else EXPIRED
                tx.run(
                    _EXPIRE,
                    {
                        "job": job,
                        "state": state.value,
                        "end_reason": EndReason.EXPIRED.value,
                        "end_detail": detail,
                        "ended_at": now,
                    },
                )
                if policy_from(row.policy).private_input:
                    forget_private_input(tx, job)
                tx.note(job, now, "expired", state=state, detail=detail)
                tx.moves(row.queue, JobState.QUEUED, state, EndReason.EXPIRED)
                if row.group_id is not None:
                    states = JobState.QUEUED, state
                    member_moved(tx, row.group_id, (job, agent_of(row.demand)), states, now)
                elif not row.deferred:
                    tx.ready(row.demand, -1)
                expired.append(job)
            return expired

        return await self._database.write(expire) if due else []


def _add(counts: dict[K, int], changes: dict[K, int]) -> None:
    for name, change in changes.items():
        count = counts.get(name, 0) + change
        if count:
            counts[name] = count
        else:
            counts.pop(name, None)
