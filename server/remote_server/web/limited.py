"""The services of a call whose caller is limited to queues: there is nothing else in them.

The one place that API and pages have it from: calls go on to ask `services` as they do for
everybody. What is not made for such callers is refused at the first touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NoReturn, cast

from remote_protocol.errors import ErrorCode
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.model import Token
from remote_server.domain.queue_limits import QueueLimits
from remote_server.domain.secrets import Sealer
from remote_server.errors import ServerError
from remote_server.queries.fleet import FleetReader, Member
from remote_server.queries.limited_agents import LimitedAgents
from remote_server.queries.limited_store import LimitedStore, not_theirs
from remote_server.queries.overview import Figures
from remote_server.secrets.vault import Vault
from remote_server.slices import slices
from remote_server.store import Store
from remote_server.web.http.problems import ApiProblem
from remote_server.web.services import Services

_MISSING: Final = frozenset({ErrorCode.NOT_FOUND, ErrorCode.UNKNOWN_AGENT})


class Withheld:
    """A part of the server that has nothing for such callers."""

    def __getattr__(self, name: str) -> NoReturn:
        raise not_theirs()


class SealingVault(Withheld):
    """The part of the vault that only takes: what a caller gives with a job is sealed for it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def concealed(self, spec: JobSpec) -> tuple[JobSpec, Sealer | None]:
        """See Vault. KeyUnusable."""
        return await self._vault.concealed(spec)


class LimitedFleet:
    """The agents that serve one of the queues, as FleetReader."""

    def __init__(self, fleet: FleetReader, limits: QueueLimits) -> None:
        self._fleet = fleet
        self._limits = limits

    async def members(self) -> Sequence[Member]:
        """All of them by name."""
        limits = self._limits
        return [
            one._replace(
                row=one.row._replace(
                    queues=limits.of_queues(one.row.queues),
                    capacity=limits.of_capacity(one.row.capacity),
                )
            )
            async for part in slices(await self._fleet.members())
            for one in part
            if limits.served_by(one.row.queues)
        ]


class LimitedOverview:
    """The figures beside the ways to the pages; there is no overview of a part of the fleet."""

    def __init__(self, store: Store, fleet: LimitedFleet) -> None:
        self._store = store
        self._fleet = fleet

    async def figures(self) -> Figures | None:
        """Of these queues and their agents."""
        try:
            return await self._figures()
        except ServerError:
            return None

    async def _figures(self) -> Figures:
        counts = await self._store.counts()
        busy = (JobState.RUNNING, JobState.ASSIGNED)
        running = sum(count for (_, state), count in counts.items() if state in busy)
        agents, queues = await self._fleet.members(), await self._store.queues()
        return Figures(len(agents), len(queues), running, 0)

    async def read(self) -> NoReturn:
        """Refused."""
        raise not_theirs()


def with_limits(problem: ApiProblem, token: Token) -> ApiProblem:
    """What is not there for a caller who is limited to queues, with the reason that it may have."""
    if problem.code in _MISSING:
        problem.detail += (
            f"; the token {token.name!r} knows only what belongs to the queues "
            f"{', '.join(token.queues)}"
        )
    return problem


def limited(services: Services, token: Token) -> Services:
    """What a call has to work with whose caller's token is limited to queues."""
    limits = QueueLimits(frozenset(token.queues))
    store = cast(Store, LimitedStore(services.store, limits))
    fleet = LimitedFleet(services.fleet, limits)
    withheld: Any = Withheld()
    return replace(
        services,
        store=store,
        sources=replace(
            services.sources, store=store, agents=LimitedAgents(services.sources.agents, limits)
        ),
        fleet=cast(FleetReader, fleet),
        overview=cast(Any, LimitedOverview(store, fleet)),
        hub=withheld,
        agent_logs=withheld,
        history=withheld,
        vault=cast(Vault, SealingVault(services.vault)),
        signing_key=withheld,
        gauges=withheld,
        metrics=withheld,
        authenticator=withheld,
    )
