"""Jobs: submit, look up, cancel. Queries live here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import bindparam

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.demand import demand_of
from remote_server.domain.model import SYSTEM, Demand, Job, Lease, Principal, Waiting
from remote_server.domain.secrets import Sealer
from remote_server.errors import JobTooLarge, NotFound, ServerError
from remote_server.store.arrivals import Arrivals, Places
from remote_server.store.cancelling import cancel_job
from remote_server.store.default_queue import DefaultQueue
from remote_server.store.ports import Elsewhere, Reader, Transaction
from remote_server.store.repository import require_agents, require_queues
from remote_server.store.rows import SELECT_JOB, job_from
from remote_server.store.schema import jobs
from remote_server.store.specifications import Specs, SpecTexts, require_offerable, spec_texts
from remote_server.store.submission import NewJob, Submission, store_jobs

_TURN: Final = 50
_JOB: Final = SELECT_JOB.where(jobs.c.id == bindparam("job"))
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
        new = [
            NewJob(self._ulids.make(now), *each_one)
            for each_one in zip(wanted, given, texts, demands, strict=True)
        ]
        for job, spec, _, text, _ in new:
            self.specs.remember(job, spec, text.spec, text.bulk)
        # Before it is written, so that the dispatcher is woken first: what it gives of these shares
        # the commit.
        places = self.arrivals.expect(
            [Waiting(one.id, one.spec.priority, one.demand) for one in new]
        )
        call = Submission(new, now, detail, action, inputs, repeated, each, too_large, places)
        stored = await self._stored(call, by)
        found: list[Job | ServerError] = []
        submitter = by if by.id else None
        for (job, spec, *_), known in zip(new, stored, strict=True):
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

    async def _stored(self, call: Submission, by: Principal) -> list[str | ServerError]:
        """Have it written, and who has found places for some of its jobs told what becomes of
        them."""
        places = call.places
        operation: Elsewhere[list[str | ServerError]] = Elsewhere(partial(store_jobs, call=call))
        written: Callable[[list[str | ServerError]], None] | None = None
        if places is not None:
            written = partial(self._written, call, places)
        leases: list[Lease] = []
        try:
            stored = await self._database.write(operation, by=by, written=written)
            if places is not None:
                leases = self._leases(call, places, stored)
            return stored
        finally:
            self.arrivals.forget(one.id for one in call.jobs)
            if places is not None:
                places.stored(leases)

    def _written(self, call: Submission, places: Places, stored: list[str | ServerError]) -> None:
        places.written(self._leases(call, places, stored))

    def _leases(
        self, call: Submission, places: Places, stored: Sequence[str | ServerError]
    ) -> list[Lease]:
        found = []
        for (job, spec, *_), known in zip(call.jobs, stored, strict=True):
            agent = places.agents.get(job)
            if agent is not None and known == job:
                known_spec = self.specs.known(job)
                text = None if known_spec is None else known_spec.text
                key, state = AttemptId(job, 1), AttemptState.OFFERED
                found.append(Lease(key, agent, state, spec.queue, spec.weight, spec, text=text))
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
