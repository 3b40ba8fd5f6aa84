"""What commits mean for links: cancels are sent, changed agents told, links of others closed.

Reads the store again where a commit names an agent, so that what is told is what is stored now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Superseded
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.events import AssignmentChanged, CancelWished, DesiredModeChanged
from remote_server.domain.model import Agent
from remote_server.errors import NotFound, StoreUnavailable
from remote_server.hub.desired_state import (
    assignment_of,
    desired_mode_of,
    same_assignment,
    same_desired_mode,
)
from remote_server.hub.link import Link

RETRY: Final = 1.0
"""Seconds until the next read when the database cannot be read."""

MOST_EARLY: Final = 1_000
"""Cancels that may wait for their offers, which come within a turn of the loop."""


class AgentStore(Protocol):
    """What is asked of the store."""

    async def agent(self, name: str) -> Agent:
        """An agent's row. NotFound; StoreUnavailable."""


class Links(Protocol):
    """The links of this server."""

    def holder(self, agent: str) -> Link | None:
        """The link that has an agent's name."""

    def links(self) -> Collection[Link]:
        """All links, also those without a hello."""

    def forget(self, agent: str) -> None:
        """There is no such agent any more, or another host has its name."""


class CommitHandler:
    """Carries out what commits mean for the links of this server."""

    def __init__(self, store: AgentStore, links: Links, wall: Callable[[], float]) -> None:
        self._store = store
        self._links = links
        self._wall = wall
        self._changed: set[str] = set()
        """Agents whose rows have to be read again."""
        self._early: dict[AttemptId, CancelWished] = {}
        """Cancels of attempts that their links do not know yet."""
        self._task: asyncio.Task[None] | None = None

    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit."""
        for attempt, cancel in changes.cancels.items():
            link = self._links.holder(cancel.agent)
            if link is not None:
                self._cancel(link, CancelWished(attempt, cancel.reason, cancel.detail))
        for name, why in changes.removed_agents.items():
            self._remove(name, why)
        if changes.revoked:
            self._revoke(changes.revoked)
        if changes.agents:
            self._changed |= {name for name in changes.agents if self._links.holder(name)}
            if self._changed and (self._task is None or self._task.done()):
                self._task = asyncio.ensure_future(self._tell())

    def _cancel(self, link: Link, wish: CancelWished) -> None:
        if link.session is None or wish.key in link.session.leases:
            link.feed(wish)
            return
        # It was assigned by the same commit: its offer, which does not know of this, comes next.
        self._early[wish.key] = wish
        if len(self._early) > MOST_EARLY:
            del self._early[next(iter(self._early))]

    def offered(self, link: Link, attempt: AttemptId) -> None:
        """A link was given an offer: tell it what was asked meanwhile."""
        if self._early and (wish := self._early.pop(attempt, None)) is not None:
            link.feed(wish)

    def stop(self) -> None:
        """Tell no more: the next hello tells it all."""
        if self._task is not None:
            self._task.cancel()

    def _remove(self, name: str, why: str) -> None:
        """What the agent runs is somebody else's from now on, or nobody's, and must not go on
        there (I2)."""
        self._links.forget(name)
        for link in [link for link in self._links.links() if link.name == name]:
            held = () if link.session is None else link.session.leases
            last = [Superseded(attempt=attempt, detail=why) for attempt in held]
            link.close(CloseCode.UNREGISTERED, why, last)

    def _revoke(self, tokens: dict[str, str]) -> None:
        """A token that is revoked before its link says hello is refused there."""
        for link in [link for link in self._links.links() if link.token.id in tokens]:
            link.close(CloseCode.UNREGISTERED, tokens[link.token.id])

    async def _tell(self) -> None:
        while self._changed:
            name = self._changed.pop()
            try:
                agent = await self._store.agent(name)
            except NotFound:
                continue
            except StoreUnavailable:
                self._changed.add(name)
                await asyncio.sleep(RETRY)
                continue
            link = self._links.holder(name)
            if link is not None and link.agent is not None:
                _compare(link, link.agent, agent, self._wall())
            # A commit may name thousands of agents.
            await asyncio.sleep(0)


def _compare(link: Link, known: Agent, agent: Agent, now: float) -> None:
    """Tell an agent what differs from what it was told."""
    link.agent = agent
    if not same_assignment(known, agent):
        link.feed(AssignmentChanged(assignment_of(agent)))
    if not same_desired_mode(known, agent):
        link.feed(DesiredModeChanged(desired_mode_of(agent, now)))
