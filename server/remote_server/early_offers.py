"""Offers that leave before the commit of what assigns them, and are compared with it afterwards.

Nothing is confirmed before that commit (ADR 2, 46, 50), so that an offer of something that is not
stored after all harms nobody: its agent is asked what it has. No I/O.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from remote_protocol.attempt_id import AttemptId
from remote_server.domain.links import Links
from remote_server.domain.model import Lease


class EarlyOffers:
    """The leases of one operation: offered as soon as they are written."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._offered: dict[AttemptId, Lease] = {}

    def send(self, leases: Sequence[Lease]) -> None:
        """Offer them, each once."""
        for lease in leases:
            if lease.key not in self._offered and self._links.welcomed(lease.agent):
                self._offered[lease.key] = lease
                self._links.offer(lease)

    def compare(self, stored: Sequence[Lease]) -> list[Lease]:
        """These are committed, and no others: offer what was not, doubt what is not there. Those
        that are offered to nobody, for their agents have left."""
        keys = {lease.key for lease in stored}
        for key, lease in self._offered.items():
            if key not in keys:
                self._links.doubt(lease)
        self.send(stored)
        return [lease for lease in stored if lease.key not in self._offered]


class PassOffers(EarlyOffers):
    """Those of one pass of the dispatcher."""

    def __init__(self, links: Links) -> None:
        super().__init__(links)
        self.sent: asyncio.Future[Sequence[Lease]] = asyncio.get_running_loop().create_future()
        """They are written and offered; what failed before that."""
        self.missed: list[Lease] = []
        """Those that are stored and were offered to nobody."""
        self.failure: BaseException | None = None
        """Why nothing is stored of what was offered."""

    def written(self, leases: Sequence[Lease]) -> None:
        """They are about to be committed."""
        self.send(leases)
        if not self.sent.done():
            self.sent.set_result(leases)

    def settle(self, storing: asyncio.Future[Sequence[Lease]]) -> None:
        """It is known what is stored."""
        error = None if storing.cancelled() else storing.exception()
        stored = [] if storing.cancelled() or error is not None else storing.result()
        self.missed = self.compare(stored)
        if self.sent.done():
            self.failure = error
        elif storing.cancelled():
            self.sent.cancel()
        elif error is None:
            self.sent.set_result(stored)
        else:
            self.sent.set_exception(error)


class FoundPlaces(EarlyOffers):
    """Places for jobs that are about to be stored (`Places` of the store). `over` hears of agents
    whose places are free after all, and of leases that nobody was offered."""

    def __init__(
        self,
        links: Links,
        agents: Mapping[str, str],
        at: float,
        over: Callable[[set[str], Sequence[Lease]], None],
    ) -> None:
        super().__init__(links)
        self.agents = agents
        self.at = at
        self._over = over

    def written(self, leases: Sequence[Lease]) -> None:
        """They are about to be committed."""
        self.send(leases)

    def stored(self, leases: Sequence[Lease]) -> None:
        """These are committed, and no others."""
        missed = self.compare(leases)
        given = {lease.key.job for lease in leases}
        free = {agent for job, agent in self.agents.items() if job not in given}
        if missed or free:
            self._over(free, missed)
