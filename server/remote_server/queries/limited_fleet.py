"""The queues of somebody who is limited to some of them, and the agents that serve those: which of
them a job may name, and in what words another name is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_server.domain.model import Agent, Lease, Queue, QueueLoad
from remote_server.domain.queue_limits import QueueLimits
from remote_server.domain.secrets import Scope
from remote_server.errors import NotFound, ServerError, UnknownAgent, UnknownQueue, first_names
from remote_server.queries.limited_batches import Theirs
from remote_server.slices import slices
from remote_server.store import Store
from remote_server.store.fleet import FleetRow


class LimitedFleet:
    """The part of `LimitedStore` that is about queues and agents."""

    def __init__(self, store: Store, limits: QueueLimits) -> None:
        self._store = store
        self._limits = limits

    # Queues

    async def default_queue(self) -> str:
        """The queue of whoever names none; whether it is one of theirs or not."""
        return await self._store.default_queue()

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

    # Names in jobs that are submitted

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
