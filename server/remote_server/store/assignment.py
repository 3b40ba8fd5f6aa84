"""The assignment of waiting jobs to agents. Queries live here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import bindparam, insert, literal_column, select, update

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.decisions import Snapshot, is_told
from remote_server.domain.demand import Policy, demand_from, policy_from
from remote_server.domain.model import Lease
from remote_server.store.arrivals import Arrivals
from remote_server.store.known_attempts import KnownAttempt
from remote_server.store.members import admits, member_moved
from remote_server.store.ports import Elsewhere, Row, Transaction, Urgency
from remote_server.store.repository import Repository
from remote_server.store.schema import HELD, attempts, jobs, specs
from remote_server.store.specifications import KnownSpec, Specs

_CANDIDATE: Final = (
    select(
        jobs.c.state,
        jobs.c.deferred,
        jobs.c.used,
        jobs.c.reuse_withdrawn,
        jobs.c.queue,
        jobs.c.demand,
        jobs.c.expires_at,
        jobs.c.refusals,
        jobs.c.group_id,
        jobs.c.policy,
        jobs.c.tries,
        jobs.c.cancel_requested_at,
        jobs.c.cancel_detail,
    )
    .where(jobs.c.id == bindparam("job"))
    .with_for_update()
)
_SPEC: Final = select(specs.c.spec, specs.c.bulk).where(specs.c.job == bindparam("of"))
_GIVE: Final = (
    update(jobs)
    .where(jobs.c.id == bindparam("job"))
    .values(
        {name: bindparam(name) for name in ("state", "attempt", "used", "agent", "assigned_at")}
        | {"reuse_withdrawn": literal_column("0"), "not_before": literal_column("NULL")}
        | {"tries": jobs.c.tries + literal_column("1")}
    )
)
_NEW_ATTEMPT: Final = insert(attempts).values(
    {name: bindparam(name) for name in ("job", "number", "agent", "queue", "state", "offered_at")}
    | {name: literal_column("0") for name in ("log_size", "log_complete", "log_gone")}
    | {"end_detail": literal_column("''")}
)
_SAME_ATTEMPT: Final = (
    update(attempts)
    .where(attempts.c.job == bindparam("at_job"), attempts.c.number == bindparam("at_number"))
    .values({name: bindparam(name) for name in ("agent", "state", "offered_at")})
)


_QUEUED: Final = JobState.QUEUED.value
_ASSIGNED: Final = JobState.ASSIGNED.value
_OFFERED: Final = AttemptState.OFFERED.value


def give_new(tx: Transaction, new: Placed, now: float) -> None:
    """Write the first attempt of a job that was just stored as given to an agent."""
    job, agent, queue, demand, policy, expires_at = new
    tx.run(
        _NEW_ATTEMPT,
        {
            "job": job,
            "number": 1,
            "agent": agent,
            "queue": queue,
            "state": _OFFERED,
            "offered_at": now,
        },
    )
    tx.note(job, now, "assigned", state=JobState.ASSIGNED, attempt=1, agent=agent, asked=False)
    tx.offers += 1
    tx.moves(queue, None, JobState.ASSIGNED)
    snapshot = Snapshot(
        job=JobState.ASSIGNED,
        current=1,
        used=1,
        policy=policy,
        cancelled=False,
        cancel_detail="",
        expires_at=expires_at,
        agent=agent,
        attempt=AttemptState.OFFERED,
        started_at=None,
        since=now,
        tries=1,
    )
    tx.known.put(job, KnownAttempt(1, snapshot, queue, demand, 0, None))


class Placed(NamedTuple):
    """A new job that an agent has a place for."""

    job: str
    agent: str
    queue: str
    demand: str
    policy: Policy
    expires_at: float | None


class Given(NamedTuple):
    """A job that was given to an agent; its stored specification where that was not known."""

    key: AttemptId
    agent: str
    demand: str
    stored: Row | None


def give(tx: Transaction, job: str, agent: str, now: float, unknown: bool) -> Given | None:
    """Assign a waiting job; None when it does not wait any more, or its group lets no more start.
    `unknown`: its specification is not in memory."""
    row = tx.one(_CANDIDATE, {"job": job})
    if row is None or row.state != _QUEUED:
        return None
    held = row.deferred == HELD
    if row.deferred and not held:
        return None
    if row.expires_at is not None and row.expires_at <= now:
        return None
    if held and not admits(tx, row.group_id):
        return None
    stored = tx.one(_SPEC, {"of": job}) if unknown else None
    number = row.used + 1
    tx.run(
        _GIVE,
        {
            "job": job,
            "state": _ASSIGNED,
            "attempt": number,
            "used": number,
            "agent": agent,
            "assigned_at": now,
        },
    )
    attempt: dict[str, object] = {
        "agent": agent,
        "state": _OFFERED,
        "offered_at": now,
    }
    if row.reuse_withdrawn:
        tx.run(_SAME_ATTEMPT, attempt | {"at_job": job, "at_number": number})
        tx.changes.give_again(AttemptId(job, number), agent)
    else:
        tx.run(_NEW_ATTEMPT, attempt | {"job": job, "number": number, "queue": row.queue})
    if is_told((row.refusals or 0) + 1):
        # Else it is told when it is accepted: most likely it comes back once more.
        tx.note(job, now, "assigned", state=JobState.ASSIGNED, attempt=number, agent=agent)
    tx.offers += 1
    if held:
        states = JobState.QUEUED, JobState.ASSIGNED
        member_moved(tx, row.group_id, (job, agent), states, now)
    else:
        tx.ready(row.demand, -1)
    tx.moves(row.queue, JobState.QUEUED, JobState.ASSIGNED)
    tx.known.put(job, _known(row, number, agent, now))
    return Given(AttemptId(job, number), agent, row.demand, stored)


def _known(row: Row, number: int, agent: str, now: float) -> KnownAttempt:
    """The attempt as it is stored, for the first report about it."""
    snapshot = Snapshot(
        job=JobState.ASSIGNED,
        current=number,
        used=number,
        policy=policy_from(row.policy),
        cancelled=row.cancel_requested_at is not None,
        cancel_detail=row.cancel_detail,
        expires_at=row.expires_at,
        agent=agent,
        attempt=AttemptState.OFFERED,
        started_at=None,
        since=now,
        tries=row.tries + 1,
        refusals=row.refusals or 0,
    )
    return KnownAttempt(number, snapshot, row.queue, row.demand, row.deferred, row.group_id)


class Assignments(Repository):
    """The repository of what is given to agents."""

    specs: Specs
    arrivals: Arrivals

    def assign(
        self,
        pairs: Sequence[tuple[str, str]],
        now: float,
        early: Callable[[Sequence[Lease]], None] | None = None,
        urgency: Urgency = Urgency.COMMIT,
    ) -> asyncio.Future[list[Lease]]:
        """Give each job of `(job, agent)` to its agent; the leases, without those of jobs that
        are not waiting any more. In its place among other writes when this returns.

        `early` may hear of them before the commit, which may fail, or find others.
        """
        known = {job: self.specs.known(job) for job, _ in pairs}
        leases: dict[AttemptId, Lease] = {}

        def assign(tx: Transaction) -> list[Given]:
            given = (give(tx, job, agent, now, known[job] is None) for job, agent in pairs)
            return [one for one in given if one is not None]

        def leases_of(given: list[Given]) -> list[Lease]:
            for one in given:
                if one.key not in leases:
                    leases[one.key] = self._lease_of(one, known[one.key.job])
            return [leases[one.key] for one in given]

        def written(given: list[Given]) -> None:
            # Whoever looks for more before the commit does not find these among the arrivals.
            self.arrivals.forget(one.key.job for one in given)
            if early is not None:
                early(leases_of(given))

        # Where nobody hears of them early, nothing is confirmed before its acceptance is committed,
        # and synced: that covers this (ADR 50).
        heard = None if early is None else written
        writing = self._database.write(
            Elsewhere(assign), relaxed=True, urgency=urgency, written=heard
        )
        return _mapped(writing, leases_of)

    def _lease_of(self, given: Given, known: KnownSpec | None) -> Lease:
        key, agent, demand, stored = given
        if known is not None:
            spec = known.spec
        else:
            assert stored is not None
            spec = self.specs.parse(key.job, stored.spec, stored.bulk)
            # It is remembered if it is small: nobody keeps megabytes twice.
            known = self.specs.known(key.job)
        text = None if known is None else known.text
        wanted = demand_from(demand)
        state = AttemptState.OFFERED
        return Lease(key, agent, state, wanted.queue, wanted.weight, spec, text=text)


def _mapped(
    writing: asyncio.Future[list[Given]], leases_of: Callable[[list[Given]], list[Lease]]
) -> asyncio.Future[list[Lease]]:
    found: asyncio.Future[list[Lease]] = writing.get_loop().create_future()

    def tell(_: object) -> None:
        if found.done():
            return
        if writing.cancelled():
            found.cancel()
            return
        error = writing.exception()
        if error is None:
            found.set_result(leases_of(writing.result()))
        else:
            found.set_exception(error)

    writing.add_done_callback(tell)
    return found
