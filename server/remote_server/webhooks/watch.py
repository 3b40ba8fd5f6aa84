"""The loop that looks at the states of agents and queues, where webhooks ask for them.

A state is compared with what was told of it last, which is stored: a restart of the server tells
nothing twice, and forgets nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import structlog

from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.domain.model import Clock
from remote_server.domain.webhooks import watch_states
from remote_server.errors import StoreUnavailable
from remote_server.store import Store
from remote_server.store.outbox import AGENT, QUEUE, Key, Observed, Place

EVERY: Final = 5.0
"""Seconds between two looks."""


class StateWatch:
    """Notes agents that go offline or come online, and queues that nobody serves. `run` is its
    loop."""

    def __init__(
        self,
        store: Store,
        status: Callable[[str], AgentStatus],
        clock: Clock,
        offline_after: float,
        max_pending: int,
    ) -> None:
        self._store = store
        self._status = status
        self._clock = clock
        self._offline_after = offline_after
        self._max_pending = max_pending
        self._log = structlog.get_logger("remote_server.webhooks")

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                self._log.warning("states are not looked at now", cause=str(error))
            except Exception:
                self._log.exception("a look at the states of agents failed")
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Look once."""
        if not watch_states(await self._store.enabled_webhooks()):
            await self._store.forget_states()
            return
        agents, queues = await self._store.places()
        observed: dict[Key, Observed] = {
            (AGENT, agent.name): self._observe(agent) for agent in agents
        }
        serving: dict[str, set[bool | None]] = {queue: set() for queue in queues}
        for seen in observed.values():
            for queue in seen.queues:
                serving.setdefault(queue, set()).add(seen.up)
        served: dict[Key, Observed] = {
            (QUEUE, queue): Observed(_any(serving[queue])) for queue in queues
        }
        await self._store.note_states(observed | served, self._clock.wall(), self._max_pending)

    def _observe(self, agent: Place) -> Observed:
        status = self._status(agent.name)
        up: bool | None = status.state is AgentState.ONLINE
        if not up and (status.silence or 0.0) < self._offline_after:
            # It may be back in a moment; after a start of the server all are away for a while.
            up = None
        return Observed(up, _queues(agent.queues), status.seen_at, agent.registered_at)


def _any(states: set[bool | None]) -> bool | None:
    """Whether one of them is online; None when that cannot be said of one, and none is."""
    return True if True in states else None if None in states else False


@lru_cache(maxsize=1024)
def _queues(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
