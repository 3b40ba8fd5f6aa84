"""The one timer of all links: silence, cancels that are repeated, expired tokens, intervals.

Agents beat less often the more of them there are, so that the heartbeats of 10,000 cost no more
than those of 3,000; each agent's interval is staggered, so that they do not beat in step.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from remote_protocol.errors import CloseCode
from remote_server import __version__
from remote_server.domain.events import AssignmentChanged, Tick
from remote_server.domain.model import Clock
from remote_server.domain.session import Terms
from remote_server.hub.desired_state import assignment_of
from remote_server.hub.link import Link
from remote_server.hub.owner import HubTerms

TICK: Final = 1.0
AT_ONCE: Final = 1_000
"""Links that are looked at in one tick; a larger fleet takes turns."""
HELLO_TIMEOUT: Final = 15.0
"""Seconds within which an agent must say hello."""
AGENTS_PER_SECOND: Final = 200
"""Agents whose heartbeats make one second of the interval: 10,000 beat each 50 s."""
SPREAD: Final = 0.1
STEP: Final = 1.5
"""An interval that is so many times off is corrected, and never shortened by more at once: the
agent may just have begun to wait for its former one."""


class LinkTimer:
    """Looks at every link now and then."""

    def __init__(
        self,
        terms: HubTerms,
        clock: Clock,
        tick: float = TICK,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._terms = terms
        self._clock = clock
        self._uniform = uniform
        self._tick = tick
        self._turn = 0

    def interval(self, agents: int) -> float:
        """Seconds between heartbeats in a fleet of so many."""
        return max(self._terms.heartbeat_interval, agents / AGENTS_PER_SECOND)

    def terms(self, agents: int) -> Terms:
        """What an agent is told when the fleet has so many; staggered."""
        return self._dictate(self.interval(agents))

    async def beat(self, links: Mapping[str, Link], pending: Collection[Link]) -> None:
        """Wait a tick, then look at the links whose turn it is."""
        await asyncio.sleep(self._tick)
        now = self._clock.boot()
        _expire([*links.values(), *pending], self._clock.wall())
        for link in list(pending):
            if now - link.opened_at > HELLO_TIMEOUT:
                link.close(CloseCode.SILENT, f"{link.name} has not said hello")
        wanted = self.interval(len(links))
        for link in self._next(list(links.values())):
            session = link.session
            if session is None:
                continue
            if session.due <= now:
                link.feed(Tick())
            self._fit(link, session.terms.heartbeat_interval, wanted)

    def _next(self, links: list[Link]) -> list[Link]:
        if len(links) <= AT_ONCE:
            return links
        if self._turn >= len(links):
            self._turn = 0
        part = links[self._turn : self._turn + AT_ONCE]
        self._turn += AT_ONCE
        return part

    def _fit(self, link: Link, has: float, wanted: float) -> None:
        """Tell an agent its new interval when the fleet has grown or shrunk much since."""
        if wanted / STEP <= has <= wanted * STEP or link.agent is None or link.session is None:
            return
        link.session.terms = self._dictate(max(wanted, has / STEP))
        link.feed(AssignmentChanged(assignment_of(link.agent)))

    def _dictate(self, interval: float) -> Terms:
        interval *= 1 - SPREAD + 2 * SPREAD * self._uniform()
        ttl = max(self._terms.offer_ttl, 3 * interval)
        return Terms(__version__, interval, ttl, self._terms.max_job_log)


def _expire(links: Iterable[Link], now: float) -> None:
    """Close the links whose tokens have expired; `now` is Unix seconds."""
    for link in links:
        expires = link.token.expires_at
        if expires is not None and expires <= now:
            link.close(CloseCode.UNREGISTERED, "the agent's token has expired")
