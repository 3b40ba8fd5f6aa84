"""The store for somebody who is limited to some queues: what belongs to others does not exist.

It has the methods of the store that such callers need, under the same names. The store's other
methods are refused: whoever adds a call for these callers has to say here what of it is theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NoReturn, TypeVar

from remote_protocol.api.groups import GroupCreate
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import ErrorCode
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.groups import Group
from remote_server.domain.model import (
    SYSTEM,
    Agent,
    ArtifactSet,
    Attempt,
    Job,
    JobOutputs,
    Lease,
    Principal,
    Queue,
    QueueLoad,
    TimelineEvent,
)
from remote_server.domain.queue_limits import QueueLimits
from remote_server.domain.secrets import Scope, Sealer
from remote_server.errors import (
    NotFound,
    Refused,
    ServerError,
    UnknownAgent,
    UnknownQueue,
    first_names,
)
from remote_server.queries.limited_batches import Theirs, submit_each, where_the_first_went
from remote_server.slices import slices
from remote_server.store import JobFilter, Store
from remote_server.store.fleet import FleetRow
from remote_server.store.groups import Member
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


class LimitedStore:
    """The part of a store that belongs to some queues."""

    def __init__(self, store: Store, limits: QueueLimits) -> None:
        self._store = store
        self._limits = limits
        self._own: set[str] = set()
        """Jobs that were found to be of these queues: a job never changes its queue."""

    def __getattr__(self, name: str) -> NoReturn:
        raise not_theirs()

    # Jobs

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

    async def default_queue(self) -> str:
        """The queue of whoever names none; whether it is one of theirs or not."""
        return await self._store.default_queue()

    async def placed(self, wanted: Sequence[JobSpec]) -> Sequence[JobSpec]:
        """Specifications with the default queue where they name none, as far as that is theirs."""
        if await self.default_queue() in self._limits.queues:
            return await self._store.placed(wanted)
        return wanted

    async def _strangers(self, wanted: Sequence[JobSpec]) -> list[ServerError]:
        """The refusals of jobs that name queues or agents which are not there."""
        return (await self._theirs(wanted)).strangers(wanted)

    async def _theirs(self, wanted: Sequence[JobSpec]) -> Theirs:
        """What these jobs may name. Asked once for all of them: thousands may be wrong."""
        agents = {spec.agent for spec in wanted if spec.agent is not None}
        there = await self.existing(agents) if agents else frozenset[str]()
        lacking = agents - there
        return Theirs(
            await self.default_queue(),
            frozenset(queue.name for queue in await self.queues()),
            there,
            first_names(row.name for row in await self.fleet()) if lacking else (),
        )

    async def _narrowed(self, error: UnknownQueue | UnknownAgent) -> ServerError:
        if isinstance(error, UnknownQueue):
            known = (queue.name for queue in await self.queues())
            return UnknownQueue(error.queue, known, limited=True)
        return UnknownAgent(error.agent, (row.name for row in await self.fleet()))

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

    # Groups

    async def group(self, group: str) -> Group:
        """One group. NotFound, also when it is of another queue."""
        found = await self._store.group(group)
        if found.queue not in self._limits.queues:
            raise NotFound("group", group)
        return found

    async def _has_group(self, group: str) -> bool:
        try:
            await self.group(group)
        except NotFound:
            return False
        return True

    async def groups(
        self, limit: int, before: str | None = None, queues: Collection[str] | None = None
    ) -> list[Group]:
        """Groups of these queues, the newest first."""
        wanted = self._limits.queues if queues is None else self._limits.queues & set(queues)
        return await self._store.groups(limit, before, wanted)

    async def members(self, group: str, limit: int, last: str | None = None) -> list[Member]:
        """Members of a group. NotFound."""
        await self.group(group)
        return await self._store.members(group, limit, last)

    async def waiting_agents(self, group: str) -> list[str]:
        """The agents for which members of a group wait. NotFound."""
        await self.group(group)
        return await self._store.waiting_agents(group)

    async def submit_group(
        self,
        wanted: GroupCreate,
        now: float,
        by: Principal = SYSTEM,
        available: Collection[str] | None = None,
    ) -> tuple[Group, bool]:
        """Store a group; see Groups. The agents of a queue are known to whoever may see it."""
        spec, known = wanted.spec, None
        if not spec.names_queue and spec.idempotency_key is not None:
            known = await self._store.group_of_key(spec.idempotency_key, by)
        if known is not None and await self._has_group(known.id):
            # Where the first one went; the default queue may be another one by now.
            spec = spec.model_copy(update={"queue": known.queue})
            wanted = wanted.model_copy(update={"spec": spec})
        for refused in await self._strangers([spec]):
            raise refused
        try:
            return await self._store.submit_group(wanted, now, by, available)
        except UnknownQueue as error:
            raise await self._narrowed(error) from None

    async def matching_agents(
        self, wanted: GroupCreate, available: Collection[str] | None = None
    ) -> list[str]:
        """The agents that a group would have; see Groups."""
        for refused in await self._strangers([wanted.spec]):
            raise refused
        return await self._store.matching_agents(wanted, available)

    async def cancel_group(
        self, group: str, detail: str, now: float, by: Principal = SYSTEM
    ) -> Group:
        """Ask for the end of a group's members; see Groups. NotFound."""
        await self.group(group)
        return await self._store.cancel_group(group, detail, now, by)

    # Queues

    async def queue(self, name: str) -> Queue:
        """One queue. NotFound."""
        if name not in self._limits.queues:
            raise NotFound("queue", name)
        return await self._store.queue(name)

    async def queues(self) -> list[Queue]:
        """These queues by name, as far as there are such."""
        return [one for one in await self._store.queues() if one.name in self._limits.queues]

    async def secret_scopes(self, names: Sequence[str]) -> dict[str, Scope]:
        """Whose those of these secrets are that there are, as far as they are these queues'."""
        found = await self._store.secret_scopes(names)
        return {
            name: scope._replace(queues=tuple(self._limits.of_queues(scope.queues)))
            for name, scope in found.items()
        }

    async def loads(self, names: Iterable[str]) -> dict[str, QueueLoad]:
        """How busy these queues are."""
        wanted = list(names)
        found = await self._store.loads(name for name in wanted if name in self._limits.queues)
        return {name: found.get(name, QueueLoad()) for name in wanted}

    async def serving(self, queues: Collection[str]) -> dict[str, list[str]]:
        """The names of the agents that serve each of these queues."""
        found = await self._store.serving([name for name in queues if name in self._limits.queues])
        return {name: found.get(name, []) for name in queues}

    # Agents that serve one of these queues

    async def fleet(self) -> list[FleetRow]:
        """Agents in short, by name."""
        rows = await self._store.fleet()
        return [
            row._replace(
                queues=self._limits.of_queues(row.queues),
                capacity=self._limits.of_capacity(row.capacity),
            )
            async for part in slices(rows)
            for row in part
            if self._limits.served_by(row.queues)
        ]

    async def agent(self, name: str) -> Agent:
        """One agent. NotFound."""
        found = await self._store.agent(name)
        if not self._limits.served_by(found.queues):
            raise NotFound("agent", name)
        return self._limits.of_agent(found)

    async def agents(self, after: str = "", limit: int = 1 << 31) -> list[Agent]:
        """Agents by name: at most `limit` of those that come after a name."""
        names = [row.name for row in await self.fleet() if row.name > after]
        return await self.agents_named(names[:limit])

    async def agents_named(self, names: Sequence[str]) -> list[Agent]:
        """These agents, without those that are gone."""
        found = await self._store.agents_named(names)
        return [self._limits.of_agent(one) for one in found if self._limits.served_by(one.queues)]

    async def existing(self, names: Collection[str]) -> frozenset[str]:
        """Those of these agents that there are."""
        return frozenset(agent.name for agent in await self.agents_named(list(names)))

    async def leases_of(self, agent: str) -> dict[AttemptId, Lease]:
        """Every attempt that an agent holds; those of other queues without their names."""
        found = await self._store.leases_of(agent)
        return self._limits.of_attempts(found, lambda lease: lease.queue)
