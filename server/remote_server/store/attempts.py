"""Attempts and their leases: what agents report, what the sweeper gives up. Queries live here.

Every change goes through `domain.decisions`, called inside the transaction that writes what it
says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import bindparam, select, text, tuple_, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import ulid_to_bytes
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.demand import demand_from, policy_from
from remote_server.domain.events import Change, Lost, Running, Withdrawn
from remote_server.domain.expiry import overdue_detail
from remote_server.domain.model import Attempt, Lease, LiveLease, Outcome
from remote_server.store.repository import NONE_SKIPPED, Repository
from remote_server.store.rows import SELECT_ATTEMPT, attempt_from
from remote_server.store.schema import LIVE_STATES, attempts, jobs, specs
from remote_server.store.specifications import Specs
from remote_server.store.transaction import Reader, Row, Transaction
from remote_server.store.unknown import has_job, unknown_lease
from remote_server.store.verdicts import apply

CLOCK_ERROR: Final = 60.0
"""Seconds by which the server's clock may have been set back since the copy was made."""
_THIS: Final = (attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
_LEASE: Final = (
    select(
        attempts.c.job,
        attempts.c.number,
        attempts.c.agent,
        attempts.c.state,
        jobs.c.demand,
        attempts.c.offered_at,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
        jobs.c.policy,
        jobs.c.state,
        specs.c.spec,
        specs.c.bulk,
        attempts.c.overdue_at,
        jobs.c.floor,
    )
    .join_from(attempts, jobs, jobs.c.id == attempts.c.job)
    .join(specs, specs.c.job == jobs.c.id)
)
_LEASE_AT: Final = _LEASE.where(*_THIS)
_IS_LIVE: Final = text(f"attempts.{LIVE_STATES}")
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
_STATE: Final = select(attempts.c.state).where(*_THIS)
_OF_JOB: Final = SELECT_ATTEMPT.where(attempts.c.job == bindparam("of")).order_by(attempts.c.number)


def lease_at(reader: Reader, key: AttemptId, parsed: Specs) -> Lease | None:
    """The attempt as its agent must know it."""
    row = reader.one(_LEASE_AT, {"at_job": key.job, "at_number": key.number})
    return None if row is None else _lease_from(row, parsed)


def made_at(job: str) -> float:
    """When a job's id was made, in Unix seconds (ulid/spec: 48 bits of milliseconds)."""
    return int.from_bytes(ulid_to_bytes(job)[:6], "big") / 1000


def live_keys(reader: Reader, agent: str) -> list[AttemptId]:
    """The attempts that an agent holds."""
    return [AttemptId(*row) for row in reader.all(_LIVE_KEYS, {"agent": agent})]


def _lease_from(row: Row, parsed: Specs) -> Lease:
    job, number, agent, state, demand, offered_at, cancelled, why, policy, job_state, *rest = row
    spec, bulk, overdue, floor = rest
    wanted = demand_from(demand)
    found = AttemptState(state)
    timeout = overdue is not None and (cancelled is None or overdue < cancelled)
    if timeout:
        why = overdue_detail(policy_from(policy).timeout)
    return Lease(
        key=AttemptId(job, number),
        agent=agent,
        state=found,
        queue=wanted.queue,
        weight=wanted.weight,
        spec=parsed.parse(job, spec, bulk),
        offered_at=offered_at,
        cancel_requested=timeout or cancelled is not None,
        cancel_reason=EndReason.TIMEOUT if timeout else EndReason.CANCELLED,
        cancel_detail=why,
        may_return=(
            found is AttemptState.LOST
            and policy_from(policy).keep_first
            and not JobState(job_state).terminal
        ),
        before_restore=floor is not None and number <= floor,
    )


class Attempts(Repository):
    """The repository of attempts."""

    specs: Specs
    unknown_since: float | None

    async def attempts_of(self, job: str) -> list[Attempt]:
        """All attempts of a job, the first one first."""
        rows = await self._database.read(lambda reader: reader.all(_OF_JOB, {"of": job}))
        return [attempt_from(row) for row in rows]

    async def record(self, agent: str, change: Change, now: float) -> Outcome:
        """Commit what an agent reports about an attempt; what is known already changes nothing.

        Stale when the agent does not hold the attempt.
        """
        # Their agent says these again after a power cut; nothing is acknowledged by them.
        relaxed = isinstance(change, Running)
        return await self._database.write(
            lambda tx: apply(tx, change.key, agent, change, now), relaxed=relaxed
        )

    async def lose(self, key: AttemptId, detail: str, now: float) -> Outcome:
        """Give an attempt up: its agent is silent, or gone. A wish to cancel is fulfilled by it.

        Stale when nobody holds it any more.
        """
        return await self._database.write(lambda tx: apply(tx, key, None, Lost(key, detail), now))

    async def withdraw(self, key: AttemptId, detail: str, now: float) -> Outcome:
        """Take an offer back that was never accepted. Stale when it was accepted meanwhile."""
        change = Withdrawn(key, detail)
        return await self._database.write(lambda tx: apply(tx, key, None, change, now))

    async def enforce_timeout(self, key: AttemptId, detail: str, now: float) -> None:
        """Wish that an attempt ends because of its timeout; said again, it changes nothing."""

        def wish(tx: Transaction) -> None:
            where = {"at_job": key.job, "at_number": key.number, "overdue_at": now}
            if tx.changed(_OVERDUE, where):
                tx.note(key.job, now, "timeout_enforced", attempt=key.number, detail=detail)

        await self._database.write(wish)

    async def leases_of(self, agent: str) -> dict[AttemptId, Lease]:
        """Every attempt that an agent holds."""
        rows = await self._database.read(lambda reader: reader.all(_LEASES_OF, {"agent": agent}))
        return {lease.key: lease for lease in (_lease_from(row, self.specs) for row in rows)}

    async def leases(self, keys: Iterable[AttemptId], agent: str) -> dict[AttemptId, Lease]:
        """Those of `keys` that the agent holds, or may hold again (`may_return`)."""

        def find(reader: Reader) -> dict[AttemptId, Lease]:
            found = (self._lease(reader, key, agent) for key in keys)
            return {lease.key: lease for lease in found if lease is not None}

        return await self._database.read(find)

    def _lease(self, reader: Reader, key: AttemptId, agent: str) -> Lease | None:
        lease = lease_at(reader, key, self.specs)
        if lease and lease.agent == agent and (lease.state.live or lease.may_return):
            return lease
        if self.unknown_since is None:
            return None
        return unknown_lease(reader, key, agent, self.specs)

    async def strays(self, keys: Iterable[AttemptId]) -> frozenset[AttemptId]:
        """Those of `keys` whose jobs were made behind the copy that this database was restored
        from: it knows nothing of them."""
        since = self.unknown_since
        if since is None:
            return frozenset()
        made = [key for key in keys if made_at(key.job) >= since - CLOCK_ERROR]
        return await self._database.read(
            lambda reader: frozenset(key for key in made if not has_job(reader, key.job))
        )

    async def ended_keys(self, keys: Iterable[AttemptId]) -> frozenset[AttemptId]:
        """Those of `keys` whose end is committed."""

        def find(reader: Reader) -> frozenset[AttemptId]:
            ended = set()
            for key in keys:
                row = reader.one(_STATE, {"at_job": key.job, "at_number": key.number})
                if row is not None and row[0] == AttemptState.ENDED.value:
                    ended.add(key)
            return frozenset(ended)

        return await self._database.read(find)

    async def live_leases(
        self, after: tuple[str, str, int] = ("", "", 0), limit: int = 1000
    ) -> list[LiveLease]:
        """A page of all attempts that some agent holds, by agent and key; go on behind `after`
        (agent, job, number of the last one)."""
        where = dict(zip(("after_agent", "after_job", "after_number"), after, strict=True))
        rows = await self._database.read(
            lambda reader: reader.all(_LIVE, {**where, "count": limit})
        )
        found = []
        for job, number, agent, state, policy, cancelled, overdue in rows:
            wanted = policy_from(policy)
            found.append(
                LiveLease(
                    AttemptId(job, number),
                    agent,
                    AttemptState(state),
                    wanted.lost_after,
                    wanted.timeout,
                    wanted.grace_period,
                    cancelled is not None,
                    overdue is not None,
                )
            )
        return found
