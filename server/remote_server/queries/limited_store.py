"""The store for somebody who is limited to some queues: what belongs to others does not exist.

It has the methods of the store that such callers need, under the same names. The store's other
methods are refused: whoever adds a call for these callers has to say here what of it is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.model import (
    SYSTEM,
    ArtifactSet,
    Attempt,
    Job,
    JobOutputs,
    Principal,
    TimelineEvent,
)
from remote_server.domain.queue_limits import QueueLimits
from remote_server.domain.secrets import Sealer
from remote_server.errors import (
    NotFound,
    Refused,
    ServerError,
    UnknownAgent,
    UnknownQueue,
)
from remote_server.queries.limited_batches import submit_each, where_the_first_went
from remote_server.queries.limited_groups import LimitedGroups
from remote_server.store import JobFilter, Store
from remote_server.store.history import EventsPage
from remote_server.store.jobs import NO_INPUTS
from remote_server.store.listing import EVERY_JOB
from remote_server.store.lookup import FoundJobs

E = TypeVar("E", bound=TimelineEvent)
_OTHER_JOB: Final = re.compile(r"(?:retry of|like) ([0-9A-Z]{26})\b")


def not_theirs() -> Refused:
    """Why somebody who is limited to queues does not get what is the whole server's."""
    return Refused(
        ErrorCode.FORBIDDEN,
        "this is not for tokens that are limited to queues; use one that is not",
    )


class LimitedStore(LimitedGroups):
    """The part of a store that belongs to some queues."""

    def __init__(self, store: Store, limits: QueueLimits) -> None:
        super().__init__(store, limits)
        self._own: set[str] = set()
        """Jobs that were found to be of these queues: a job never changes its queue."""

    def __getattr__(self, name: str) -> NoReturn:
        raise not_theirs()

    async def job(self, job: str) -> Job:
        """One job. NotFound, also when it is of another queue."""
        found = await self._store.job(job)
        if found.spec.queue not in self._limits.queues:
            raise NotFound("job", job)
        self._own.add(found.id)
        return found

    async def jobs(
        self, wanted: JobFilter = EVERY_JOB, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Job], str | None]:
        """A page of jobs of these queues; see JobLists."""
        if wanted.group is not None:
            if not await self._has_group(wanted.group):
                return [], None
        elif wanted.queue is None:
            wanted = replace(wanted, queues=self._limits.queues)
        elif wanted.queue not in self._limits.queues:
            return [], None
        return await self._store.jobs(wanted, limit=limit, cursor=cursor)

    async def known_jobs(self, ids: Sequence[str], keys: Sequence[str], by: Principal) -> FoundJobs:
        """The jobs of these queues among those; see JobLookups."""
        found = await self._store.known_jobs(ids, keys, by)
        jobs = [job for job in found.jobs if job.spec.queue in self._limits.queues]
        own = {job.id for job in jobs}
        return FoundJobs(jobs, {key: job for key, job in found.keys.items() if job in own})

    async def counts(self) -> dict[tuple[str, JobState], int]:
        """How many jobs each of these queues has in each state."""
        counts = await self._store.counts()
        return {key: count for key, count in counts.items() if key[0] in self._limits.queues}

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
        """Store new jobs; see Jobs. UnknownQueue and UnknownAgent name those of others as little
        as those that do not exist."""
        if not all(spec.names_queue for spec in wanted):
            wanted = await self._repeats(wanted, by)
        for refused in await self._strangers(wanted):
            raise refused
        try:
            return await self._store.submit(wanted, now, by, detail, action, inputs, repeated)
        except (UnknownQueue, UnknownAgent) as error:
            # It was deleted at this moment; the text names everybody's.
            raise await self._narrowed(error) from None

    async def submit_each(
        self,
        wanted: Sequence[JobSpec],
        now: float,
        by: Principal = SYSTEM,
        inputs: Mapping[int, Sealer] = NO_INPUTS,
    ) -> list[Job | ServerError]:
        """Store new jobs without those that would be refused; see Jobs."""
        if not all(spec.names_queue for spec in wanted):
            wanted = await self._repeats(wanted, by)
        return await submit_each(self._store, wanted, now, by, inputs, await self._theirs(wanted))

    async def refusals(self, spec: JobSpec) -> list[ServerError]:
        """Why `submit` would refuse a job."""
        found = await self._store.refusals(spec)
        rest = [error for error in found if not isinstance(error, UnknownQueue | UnknownAgent)]
        return [*rest, *await self._strangers([spec])]

    async def _repeats(self, wanted: Sequence[JobSpec], by: Principal) -> Sequence[JobSpec]:
        """The same specifications; those that repeat jobs of these queues without naming one, with
        it: the default queue, where the first ones went, may be another one by now."""
        if await self.default_queue() in self._limits.queues:
            return wanted
        keys = [key for spec in wanted if not spec.names_queue and (key := spec.idempotency_key)]
        found = await self.known_jobs((), keys, by) if keys else FoundJobs([], {})
        return where_the_first_went(wanted, found)

    async def placed(self, wanted: Sequence[JobSpec]) -> Sequence[JobSpec]:
        """Specifications with the default queue where they name none, as far as that is theirs."""
        if await self.default_queue() in self._limits.queues:
            return await self._store.placed(wanted)
        return wanted

    async def request_cancel(
        self, job: str, detail: str, now: float, by: Principal = SYSTEM
    ) -> Job:
        """Ask for the end of a job; see Jobs. NotFound."""
        await self._require(job)
        return await self._store.request_cancel(job, detail, now, by)

    async def input_ended(self, job: str, detail: str, now: float, by: Principal = SYSTEM) -> None:
        """Note that all of a job's input is here. NotFound."""
        await self._require(job)
        await self._store.input_ended(job, detail, now, by)

    async def attempts_of(self, job: str) -> list[Attempt]:
        """All attempts of a job. NotFound."""
        await self._require(job)
        return await self._store.attempts_of(job)

    async def outputs_of(self, attempt: AttemptId) -> JobOutputs:
        """The outputs of an attempt. NotFound."""
        await self._require(attempt.job)
        return await self._store.outputs_of(attempt)

    async def artifacts_of(self, attempt: AttemptId) -> ArtifactSet:
        """The artifacts of an attempt. NotFound."""
        await self._require(attempt.job)
        return await self._store.artifacts_of(attempt)

    async def timeline(self, job: str, limit: int = 10_000) -> list[TimelineEvent]:
        """What happened to a job. NotFound."""
        await self._require(job)
        return [await self._plain(one) for one in await self._store.timeline(job, limit)]

    async def _require(self, job: str) -> None:
        if job not in self._own:
            await self.job(job)

    async def _plain(self, event: E) -> E:
        """An event without the id of another queue's job."""
        other = _OTHER_JOB.match(event.detail)
        if other is not None:
            try:
                await self._require(other[1])
            except NotFound:
                return replace(event, detail="")
        return event

    async def last_seq(self) -> int:
        """The number of the newest timeline entry."""
        return await self._store.last_seq()

    async def events_page(
        self,
        after: int,
        limit: int = 1000,
        within: Collection[str] | None = None,
        states: Collection[JobState] = (),
    ) -> EventsPage:
        """Changes of the states of these queues' jobs; see EventsPage."""
        own = self._limits.queues if within is None else self._limits.queues.intersection(within)
        page = await self._store.events_page(after, limit, own, states)
        return page._replace(events=[await self._plain(event) for event in page.events])
