"""The real hub and the real dispatcher, watched: what is offered, and in doubt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from remote_protocol.messages import Resync
from remote_server.dispatcher import Dispatcher
from remote_server.domain.model import Lease, Waiting
from remote_server.hub import Hub
from remote_server.hub.link import Link
from remote_server.store.arrivals import Places
from remote_server.store.ports import Urgency


class WatchedDispatcher(Dispatcher):
    """The real dispatcher, telling when it chose agents for jobs."""

    def __init__(self, chosen: Callable[[Iterable[tuple[str, str]]], None], *args: Any) -> None:
        super().__init__(*args)
        self._chosen = chosen

    def arriving(self, jobs: Sequence[Waiting]) -> Places | None:
        places = super().arriving(jobs)
        if places is not None:
            self._chosen(places.agents.items())
        return places

    async def _assign(self, pairs: Sequence[tuple[str, str]], urgency: Urgency) -> Sequence[Lease]:
        self._chosen(pairs)
        return await super()._assign(pairs, urgency)


class WatchedHub(Hub):
    """The real hub, counting the offers whose commits failed. Nobody gives their agents more before
    they were asked for a hello (docs/decisions/0046-offers-before-commits.md). What was given to
    them before, by a write that waits for its turn, is a transaction of its own: it is offered, and
    is stored, or doubted as well."""

    def __init__(self, seen: Counter[str], *args: Any) -> None:
        super().__init__(*args)
        self.seen = seen
        self._doubted: dict[Link, int] = {}
        """Links of those agents, until then, and when the first of their offers was doubted."""
        self._choices: dict[tuple[str, str], int] = {}
        """When a job was given to an agent last."""
        self._moments = count()

    def chosen(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Jobs are about to be given to agents."""
        self._choices.update((pair, next(self._moments)) for pair in pairs)

    def doubt(self, lease: Lease) -> None:
        self.seen["doubted offer"] += 1
        super().doubt(lease)
        link, slot = self.holder(lease.agent), self.slot(lease.agent)
        if link is not None and slot is not None:
            assert not slot.eligible, f"{lease.agent} would be offered more"
            self._doubted.setdefault(link, next(self._moments))

    def offer(self, lease: Lease) -> None:
        link = self.holder(lease.agent)
        if link in self._doubted:
            given = self._choices[lease.key.job, lease.agent]
            assert given < self._doubted[link], f"{lease.agent} is offered more"
            self.seen["offered in doubt"] += 1
        super().offer(lease)

    def _recovered(self) -> None:
        super()._recovered()
        for link in self._doubted:
            says = link._outbox._waiting or ()
            if not link.closed and not any(isinstance(message, Resync) for message in says):
                fault = {"message": f"{link.name} is not asked what it has of its offers"}
                asyncio.get_running_loop().call_exception_handler(fault)
        self._doubted.clear()
