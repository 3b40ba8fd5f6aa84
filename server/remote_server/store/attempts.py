"""Attempts and their leases: what agents report, what the sweeper gives up. Queries live here.

Every change goes through `domain.decisions`, called inside the transaction that writes what it
says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from sqlalchemy import bindparam, select, text, tuple_, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.changes import Change, Finished, Lost, Running, Withdrawn
from remote_server.domain.demand import demand_from, policy_from
from remote_server.domain.expiry import overdue_detail
from remote_server.domain.model import Attempt, Lease, LiveLease, Outcome
from remote_server.errors import Stale
from remote_server.store.ports import Reader, Row, Transaction, Urgency
from remote_server.store.repository import NONE_SKIPPED, Repository
from remote_server.store.rows import SELECT_ATTEMPT, attempt_from
from remote_server.store.schema import LIVE_STATES, attempts, jobs, specs
from remote_server.store.snapshots import read_attempt
from remote_server.store.specifications import Specs
from remote_server.store.transitions import Reported, apply

_THIS: Final = (attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
_LEASE: Final = (
    select(
        attempts.c.job,
        attempts.c.number,
        attempts.c.agent,
        attempts.c.state,
        jobs.c.demand,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
        jobs.c.policy,
        jobs.c.state.label("job_state"),
        specs.c.spec,
        specs.c.bulk,
        attempts.c.overdue_at,
    )
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .join(specs, specs.c.job == jobs.c.id)
)
_LEASE_AT: Final = _LEASE.where(*_THIS)
_IS_LIVE: Final = text(LIVE_STATES)
_LEASES_OF: Final = _LEASE.where(attempts.c.agent == bindparam("agent"), _IS_LIVE)
_LIVE: Final = (
    select(
        attempts.c.job,
        attempts.c.number,
        attempts.c.agent,
        attempts.c.state,
        jobs.c.policy,
        jobs.c.cancel_requested_at,
        attempts.c.overdue_at,
    )
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .where(
        _IS_LIVE,
        tuple_(attempts.c.agent, attempts.c.job, attempts.c.number)
        > tuple_(bindparam("after_agent"), bindparam("after_job"), bindparam("after_number")),
    )
    .order_by(attempts.c.agent, attempts.c.job, attempts.c.number)
    .limit(bindparam("count"))
    .offset(NONE_SKIPPED)
)
_LIVE_KEYS: Final = select(attempts.c.job, attempts.c.number).where(
    attempts.c.agent == bindparam("agent"), _IS_LIVE
)
_OVERDUE: Final = (
    update(attempts)
    .where(*_THIS, attempts.c.overdue_at.is_(None), _IS_LIVE)
    .values(overdue_at=bindparam("overdue_at"))
)
_URGENCIES: Final = {Running: Urgency.NONE, Finished: Urgency.RUN}
_STATE: Final = select(attempts.c.state).where(*_THIS)
_OF_JOB: Final = SELECT_ATTEMPT.where(attempts.c.job == bindparam("of")).order_by(attempts.c.number)


def lease_row(reader: Reader, key: AttemptId) -> Row | None:
    """What `lease_from` needs of an attempt; None when there is no such one."""
    return reader.one(_LEASE_AT, {"at_job": key.job, "at_number": key.number})


def live_keys(reader: Reader, agent: str) -> list[AttemptId]:
    """The attempts that an agent holds."""
    return [AttemptId(*row) for row in reader.all(_LIVE_KEYS, {"agent": agent})]


def lease_rows(reader: Reader, agent: str) -> list[Row]:
    """What `lease_from` needs of every attempt that an agent holds."""
    return reader.all(_LEASES_OF, {"agent": agent})


def lease_from(row: Row, parsed: Specs) -> Lease:
    """The attempt as its agent must know it."""
    wanted = demand_from(row.demand)
    policy = policy_from(row.policy)
    state = AttemptState(row.state)
    cancelled, overdue = row.cancel_requested_at, row.overdue_at
    timeout = overdue is not None and (cancelled is None or overdue < cancelled)
    return Lease(
        key=AttemptId(row.job, row.number),
        agent=row.agent,
        state=state,
        queue=wanted.queue,
        weight=wanted.weight,
        spec=parsed.parse(row.job, row.spec, row.bulk),
        cancel_requested=timeout or cancelled is not None,
        cancel_reason=EndReason.TIMEOUT if timeout else EndReason.CANCELLED,
        cancel_detail=overdue_detail(policy.timeout) if timeout else row.cancel_detail,
        may_return=(
            state is AttemptState.LOST
            and policy.keep_first
            and not JobState(row.job_state).terminal
        ),
    )


def right_of(agent: str, row: Row | None, parsed: Specs) -> Lease | None:
    """An agent's right to an attempt: it holds it, or may hold it again (`may_return`)."""
    if row is None:
        return None
    lease = lease_from(row, parsed)
    return lease if lease.agent == agent and (lease.state.live or lease.may_return) else None


class Attempts(Repository):
    """The repository of attempts."""

    specs: Specs

    async def attempts_of(self, job: str) -> list[Attempt]:
        """All attempts of a job, the first one first."""
        rows = await self._database.read(lambda reader: reader.all(_OF_JOB, {"of": job}))
        return [attempt_from(row) for row in rows]

    def record(
        self,
        agent: str,
        change: Change,
        now: float,
        early: Callable[[Outcome], None] | None = None,
        heard: Callable[[asyncio.Future[Outcome]], None] | None = None,
    ) -> asyncio.Future[Outcome]:
        """Commit what an agent reports about an attempt; what is known already changes nothing.
        The report is in its place among others when this returns, not when it is awaited.

        `early` may hear of it before the commit, which may fail then: once that which gave the
        attempt to the agent will not be lost. `heard` hears what came of it before others who wait
        for the same commit.

        Stale when the agent does not hold the attempt.
        """
        # Their agent says starts again after a power cut; nothing is acknowledged by them, and a
        # short job's end may come with the same commit. An end, whose place is free already, may
        # share that of the acceptance of who comes next there.
        started = isinstance(change, Running)
        urgency = _URGENCIES.get(type(change), Urgency.COMMIT) if early is None else Urgency.BASE
        return self._database.write(
            Reported(agent, change, now),
            relaxed=started,
            urgency=urgency,
            written=early,
            heard=heard,
        )

    async def lose(
        self, key: AttemptId, detail: str, now: float, agent: str | None = None
    ) -> Outcome:
        """Give an attempt up: its agent is silent, or gone. That fulfils a request to cancel.

        Stale when nobody holds it any more, or another one than `agent` (None: whoever it is).
        """
        change = Lost(key, detail)
        return await self._database.write(lambda tx: _give_up(tx, change, now, agent))

    async def withdraw(
        self, key: AttemptId, detail: str, now: float, agent: str | None = None
    ) -> Outcome:
        """Take an offer back that was certainly not accepted. Stale when it was accepted meanwhile,
        or when another one than `agent` (None: whoever it is) has it."""
        change = Withdrawn(key, detail)
        return await self._database.write(lambda tx: _give_up(tx, change, now, agent))

    async def enforce_timeout(self, key: AttemptId, detail: str, now: float) -> None:
        """Ask for the end of an attempt because of its timeout; asked again, it changes nothing."""

        def ask(tx: Transaction) -> None:
            where = {"at_job": key.job, "at_number": key.number, "overdue_at": now}
            if tx.changed(_OVERDUE, where):
                tx.note(key.job, now, "timeout_enforced", attempt=key.number, detail=detail)

        await self._database.write(ask)

    async def leases_of(self, agent: str) -> dict[AttemptId, Lease]:
        """Every attempt that an agent holds."""
        rows = await self._database.read(lambda reader: lease_rows(reader, agent))
        return {lease.key: lease for lease in (lease_from(row, self.specs) for row in rows)}

    async def leases(self, keys: Iterable[AttemptId], agent: str) -> dict[AttemptId, Lease]:
        """Those of `keys` that the agent holds, or may hold again (`may_return`)."""
        rows = await self._database.read(lambda reader: [lease_row(reader, key) for key in keys])
        leases = (right_of(agent, row, self.specs) for row in rows)
        return {lease.key: lease for lease in leases if lease is not None}

    async def ended_keys(self, keys: Iterable[AttemptId]) -> frozenset[AttemptId]:
        """Those of `keys` whose end is committed."""

        def find(reader: Reader) -> frozenset[AttemptId]:
            ended = set()
            for key in keys:
                row = reader.one(_STATE, {"at_job": key.job, "at_number": key.number})
                if row is not None and row.state == AttemptState.ENDED.value:
                    ended.add(key)
            return frozenset(ended)

        return await self._database.read(find)

    async def live_leases(
        self, after: tuple[str, str, int] = ("", "", 0), limit: int = 1000
    ) -> list[LiveLease]:
        """A page of all attempts that some agent holds, by agent and key; go on after `after`
        (agent, job, number of the last one)."""
        where = dict(zip(("after_agent", "after_job", "after_number"), after, strict=True))
        rows = await self._database.read(
            lambda reader: reader.all(_LIVE, {**where, "count": limit})
        )
        return [_live_lease(row) for row in rows]


def _give_up(tx: Transaction, change: Lost | Withdrawn, now: float, agent: str | None) -> Outcome:
    """Take an attempt from its agent, which is told."""
    key = change.key
    if agent is not None and read_attempt(tx, key).snapshot.agent != agent:
        # What was seen of it says nothing of who was given the same number since.
        raise Stale(f"attempt {key} is not held by agent {agent!r} any more")
    return apply(tx, key, None, change, now)


def _live_lease(row: Row) -> LiveLease:
    policy = policy_from(row.policy)
    return LiveLease(
        AttemptId(row.job, row.number),
        row.agent,
        AttemptState(row.state),
        policy.lost_after,
        policy.timeout,
        policy.grace_period,
        row.cancel_requested_at is not None,
        row.overdue_at is not None,
    )
