"""Jobs: submit, look up, cancel. Queries live here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from sqlalchemy import bindparam, insert, literal_column, select

from remote_protocol.spec import DEFAULT_QUEUE, JobSpec
from remote_protocol.states import JobState
from remote_server.domain.change_set import Submitted
from remote_server.domain.demand import demand_key, demand_of, demand_text, policy_of, policy_text
from remote_server.domain.model import SYSTEM, Demand, Job, Principal, Waiting
from remote_server.domain.secrets import Sealer
from remote_server.errors import (
    Conflict,
    ContentMissing,
    JobTooLarge,
    NotFound,
    ServerError,
    UnknownAgent,
    UnknownQueue,
)
from remote_server.store.arrivals import Arrivals
from remote_server.store.cancelling import cancel_job
from remote_server.store.contents import note_needs, require_contents
from remote_server.store.default_queue import DefaultQueue
from remote_server.store.ports import Elsewhere, Reader, Transaction
from remote_server.store.private_inputs import keep_private_inputs
from remote_server.store.repository import require_agents, require_queues, unplaceable
from remote_server.store.rows import SELECT_JOB, job_from
from remote_server.store.schema import jobs, specs
from remote_server.store.specifications import Specs, SpecTexts, require_offerable, spec_texts

_TURN: Final = 50
_ZERO: Final = ("attempt", "used", "tries", "reuse_withdrawn", "deferred", "log_size")
_GIVEN: Final = (
    "id",
    "state",
    "queue",
    "priority",
    "demand",
    "demand_key",
    "policy",
    "created_at",
    "expires_at",
    "idempotency_key",
    "name",
    "submitted_by",
)
_INSERT_JOB: Final = insert(jobs).values(
    {name: bindparam(name) for name in _GIVEN}
    | {name: literal_column("0") for name in _ZERO}
    | {"cancel_detail": literal_column("''")}
)
_INSERT_SPEC: Final = insert(specs).values(
    {name: bindparam(name) for name in ("job", "spec", "excerpt", "bulk")}
)
_JOB: Final = SELECT_JOB.where(jobs.c.id == bindparam("job"))
_BY_KEY: Final = (
    select(jobs.c.id, specs.c.spec, specs.c.bulk)
    .join_from(jobs, specs, specs.c.job == jobs.c.id)
    .where(
        jobs.c.idempotency_key == bindparam("wanted"),
        jobs.c.submitted_by.is_not_distinct_from(bindparam("submitter")),
    )
)


_REFUSALS: Final = (Conflict, ContentMissing, JobTooLarge, UnknownAgent, UnknownQueue)
"""What is the matter with one job, and not with the database."""
NO_INPUTS: Final[Mapping[int, Sealer]] = {}


class Jobs(DefaultQueue):
    """The repository of jobs."""

    specs: Specs
    arrivals: Arrivals

    async def submit(
        self,
        wanted: Sequence[JobSpec],
        now: float,
        by: Principal = SYSTEM,
        detail: str = "",
        action: str = "job.submit",
        inputs: Mapping[int, Sealer] = NO_INPUTS,
        repeated: bool = False,
    ) -> list[Job]:
        """Store new jobs, in this order, all or none; those that name no queue get the default one.
        `detail` stands in their timelines, `action` is what the audit calls it, `inputs` are
        private inputs by the places of their jobs. `repeated`: they repeat jobs that were
        submitted, whoever has sent their contents.

        A job whose idempotency key is known is not stored again: the first one is returned. Keys
        of different submitters do not know each other. A repeat that names no queue is the same job
        wherever that waits: the default queue may be another one by now.
        UnknownQueue; UnknownAgent; Conflict when the key was used for a different job;
        JobTooLarge when no agent could be offered it; ContentMissing.
        """
        found = await self._submit(wanted, now, by, detail, action, inputs, repeated)
        # Without refusals that are collected each of them was raised.
        return [job for job in found if isinstance(job, Job)]

    async def submit_each(
        self,
        wanted: Sequence[JobSpec],
        now: float,
        by: Principal = SYSTEM,
        inputs: Mapping[int, Sealer] = NO_INPUTS,
    ) -> list[Job | ServerError]:
        """Store new jobs, in this order, without those that `submit` would refuse: in their places
        are the errors. Still one transaction."""
        return await self._submit(wanted, now, by, inputs=inputs, each=True)

    async def _submit(
        self,
        wanted: Sequence[JobSpec],
        now: float,
        by: Principal,
        detail: str = "",
        action: str = "job.submit",
        inputs: Mapping[int, Sealer] = NO_INPUTS,
        repeated: bool = False,
        each: bool = False,
    ) -> list[Job | ServerError]:
        given, wanted = wanted, await self.placed(wanted)
        texts: list[SpecTexts] = []
        demands: list[Demand] = []
        too_large: dict[int, ServerError] = {}
        for number, spec in enumerate(wanted, 1):
            text = spec_texts(spec)
            try:
                require_offerable(spec, text, number if len(wanted) > 1 and not each else 0)
            except JobTooLarge as error:
                if not each:
                    raise
                too_large[number - 1] = error
            texts.append(text)
            demands.append(demand_of(spec))
            if number % _TURN == 0:
                # Megabytes of scripts and files take their time: others run meanwhile.
                await asyncio.sleep(0)
        ids = [self._ulids.make(now) for _ in wanted]

        def store(tx: Transaction) -> list[str | ServerError]:
            refused = too_large
            if each:
                refused = {**unplaceable(tx, wanted), **too_large}
            else:
                require_queues(tx, {spec.queue for spec in wanted})
                require_agents(tx, {spec.agent for spec in wanted if spec.agent is not None})
            stored: list[str | ServerError] = []
            rows: list[dict[str, object]] = []
            bodies: list[dict[str, object]] = []
            needs: list[tuple[str, dict[str, int]]] = []
            keyed: dict[str, tuple[str, str, str | None]] = {}
            submitter = by.text
            jobs = enumerate(zip(ids, wanted, given, texts, demands, strict=True))
            for number, (job, spec, asked, stored_as, needed_of_agent) in jobs:
                text, excerpt, bulk = stored_as
                key = spec.idempotency_key
                needed = {ref.digest: ref.size for ref in spec.contents}
                try:
                    if number in refused:
                        raise refused[number]
                    first = None
                    if key is not None:
                        first = keyed.get(key) or tx.one(
                            _BY_KEY, {"wanted": key, "submitter": submitter}
                        )
                    if first is not None:
                        stored.append(_same(str(key), tuple(first), asked, stored_as))
                        continue
                    if needed:
                        require_contents(tx, needed, by, repeated=repeated)
                except _REFUSALS as error:
                    if not each:
                        raise
                    stored.append(error)
                    continue
                if key is not None:
                    keyed[key] = (job, text, bulk)
                if needed:
                    needs.append((job, needed))
                demand = demand_text(needed_of_agent)
                expires = None if spec.expires_in is None else now + spec.expires_in
                rows.append(
                    {
                        "id": job,
                        "state": JobState.QUEUED.value,
                        "queue": spec.queue,
                        "priority": spec.priority,
                        "demand": demand,
                        "demand_key": demand_key(demand),
                        "policy": policy_text(policy_of(spec)),
                        "created_at": now,
                        "expires_at": expires,
                        "idempotency_key": key,
                        "name": spec.name,
                        "submitted_by": submitter,
                    }
                )
                bodies.append({"job": job, "spec": text, "excerpt": excerpt, "bulk": bulk})
                stored.append(job)
                tx.changes.submitted.append(Submitted(job, now, spec.traceparent))
                tx.note(job, now, "queued", state=JobState.QUEUED, detail=detail)
                tx.ready(demand, 1)
                tx.moves(spec.queue, None, JobState.QUEUED)
            tx.many(_INSERT_JOB, rows)
            tx.many(_INSERT_SPEC, bodies)
            for job, needed in needs:
                note_needs(tx, [job], needed, now)
            if inputs:
                new = [(ids[n], seal) for n, seal in inputs.items() if stored[n] == ids[n]]
                keep_private_inputs(tx, new)
            if rows:
                _audit_submit(tx, rows, action, detail)
            return stored

        for job, spec, stored_as in zip(ids, wanted, texts, strict=True):
            self.specs.remember(job, spec, stored_as.spec, stored_as.bulk)
        # Before it is written, so that the dispatcher is woken first: what it gives of these shares
        # the commit.
        self.arrivals.expect(
            [
                Waiting(*each)
                for each in zip(ids, (s.priority for s in wanted), demands, strict=True)
            ]
        )
        try:
            stored = await self._database.write(Elsewhere(store), by=by)
        finally:
            self.arrivals.forget(ids)
        found: list[Job | ServerError] = []
        submitter = by if by.id else None
        for job, spec, known in zip(ids, wanted, stored, strict=True):
            if isinstance(known, ServerError):
                found.append(known)
                continue
            if known != job:
                found.append(await self.job(known))
                continue
            expires = None if spec.expires_in is None else now + spec.expires_in
            found.append(
                Job(job, spec, JobState.QUEUED, now, expires_at=expires, submitted_by=submitter)
            )
        return found

    async def refusals(self, spec: JobSpec) -> list[ServerError]:
        """Why `submit` would refuse a job, as things stand; nothing is stored."""
        found: list[ServerError] = []
        (spec,) = await self.placed([spec])

        def check(requires: Callable[[], None]) -> None:
            try:
                requires()
            except ServerError as error:
                found.append(error)

        def look(reader: Reader) -> None:
            check(lambda: require_queues(reader, {spec.queue}))
            check(lambda: require_agents(reader, {spec.agent} if spec.agent else set()))

        check(lambda: require_offerable(spec, spec_texts(spec)))
        await self._database.read(look)
        return found

    async def job(self, job: str) -> Job:
        """One job. NotFound."""
        row = await self._database.read(lambda reader: reader.one(_JOB, {"job": job}))
        if row is None:
            raise NotFound("job", job)
        return job_from(row, self.specs)

    async def request_cancel(
        self, job: str, detail: str, now: float, by: Principal = SYSTEM
    ) -> Job:
        """Ask for the end of a job. A waiting one is cancelled at once; for one that an agent holds
        the request is stored, and the change set says who must be told; a job that has ended stays
        as it is. Repeating it changes nothing. NotFound.
        """

        def ask(tx: Transaction) -> None:
            found = cancel_job(tx, job, detail, now)
            if found is None:
                raise NotFound("job", job)
            tx.audit("job.cancel", "job", job, {"reason": detail, "was": found.value})

        await self._database.write(ask, by=by)
        return await self.job(job)


def _audit_submit(
    tx: Transaction, rows: Sequence[Mapping[str, object]], action: str, detail: str
) -> None:
    """One entry for one call, however many jobs it made: their own rows say who submitted them."""
    first = rows[0]
    said: dict[str, object] = {"queue": first["queue"]}
    if len(rows) > 1:
        queues = sorted({str(row["queue"]) for row in rows})
        said = {"jobs": len(rows), "last": rows[-1]["id"], "queues": queues}
    if first["name"]:
        said["name"] = first["name"]
    if detail:
        said["detail"] = detail
    tx.audit(action, "job", str(first["id"]), said)


def _same(key: str, known: tuple[str, str, str | None], asked: JobSpec, texts: SpecTexts) -> str:
    """The job that a key was used for first. Conflict when it was a different one."""
    first, text, bulk = known
    if (text, bulk) == (texts.spec, texts.bulk):
        return first
    if not asked.names_queue:
        queue = json.loads(text).get("queue", DEFAULT_QUEUE)
        there = spec_texts(asked.model_copy(update={"queue": queue}))
        if (text, bulk) == (there.spec, there.bulk):
            return first
    raise Conflict(
        f"the idempotency key {key!r} was used for a different job ({first}); "
        "use a new key for a new job"
    )
