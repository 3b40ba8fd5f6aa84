"""Who is connected: one live link an agent, the newest wins. What other rooms ask of agents.

May touch the store; sockets are the links' business. One loop ticks all links, so that an idle
agent costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web

from remote_protocol.errors import CloseCode
from remote_protocol.messages import Assignment, Hello, Wishes
from remote_protocol.states import AgentState, EndReason
from remote_server import __version__
from remote_server.domain.events import (
    AssignmentChanged,
    CancelWished,
    HelloReceived,
    LeaseEnded,
    Offered,
    StoreRecovered,
    Tick,
    WishesChanged,
)
from remote_server.domain.model import Agent, Key, Lease
from remote_server.domain.scheduling import AgentSlot
from remote_server.domain.session import AgentSession, Terms
from remote_server.errors import ServerError
from remote_server.hub.link import Link
from remote_server.logs import LogStore
from remote_server.store import Store

log = structlog.get_logger("hub")

TICK: Final = 1.0
_FLEET_SHARE: Final = 200
"""Agents whose heartbeats make one second of the interval: 10,000 beat each 50 s."""
_SPREAD: Final = 0.1


def boot_clock() -> float:
    """Seconds of a clock that never jumps and counts the host's sleep where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class HubTerms:
    """What holds for all links. Durations in seconds."""

    heartbeat_interval: float = 15.0
    offer_ttl: float = 45.0
    durable: bool = True
    """Logs are synced to the disk before their end is committed."""


class Hub:
    """All live links. `run` is its loop.

    `on_change` hears the name of an agent whose place for jobs changed, or that left.
    """

    def __init__(
        self,
        store: Store,
        logs: LogStore,
        terms: HubTerms,
        on_change: Callable[[str], None],
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.store = store
        self.logs = logs
        self.terms = terms
        self.clock = clock
        self._on_change = on_change
        self._links: dict[str, Link] = {}
        self._contact: dict[str, float] = {}
        self._greeting: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery: asyncio.Task[None] | None = None

    # Links come and go -------------------------------------------------------------------------

    async def serve(self, agent: str, wire: web.WebSocketResponse, address: str) -> None:
        """Carry an authenticated agent's WebSocket until it ends."""
        await Link(self, wire, agent, address).serve()

    async def greet(self, link: Link, hello: Hello) -> None:
        """Reconcile a hello with the database. Links of one agent are greeted one at a time."""
        lock = self._greeting.setdefault(link.name, asyncio.Lock())
        async with lock:
            if link.session is None:
                await self._begin(link, hello)
            else:
                await link.settle()
                link.agent = await self.store.agent(link.name)
            if not link.closed:
                await self._reconcile(link, hello)
        if not lock.locked():
            self._greeting.pop(link.name, None)

    async def _begin(self, link: Link, hello: Hello) -> None:
        former = self._links.get(link.name)
        if former is not None:
            await former.fence()
        now = time.time()
        link.agent = await self.store.bump_epoch(link.name, hello, link.address, now)
        interval = max(self.terms.heartbeat_interval, len(self._links) / _FLEET_SHARE)
        interval *= random.uniform(1 - _SPREAD, 1 + _SPREAD)
        terms = Terms(__version__, interval, max(self.terms.offer_ttl, 3 * interval))
        link.session = AgentSession(link.name, link.agent.epoch, terms, self.clock())
        self._links[link.name] = link
        self._contact.pop(link.name, None)
        log.info("agent connected", agent=link.name, address=link.address, epoch=link.agent.epoch)

    async def _reconcile(self, link: Link, hello: Hello) -> None:
        keys = [Key(item.job, item.attempt) for item in hello.inventory]
        leases = await self.store.leases_of(link.name)
        strange = [key for key in keys if key not in leases]
        if strange:
            leases |= await self.store.leases(strange, link.name)
        ended = await self.store.ended_keys([key for key in strange if key not in leases])
        assert link.agent is not None
        link.feed(
            HelloReceived(
                hello=hello,
                leases=leases,
                ended=ended,
                lengths={key: self.logs.length(key) for key in keys},
                assignment=assignment_of(link.agent),
                wishes=wishes_of(link.agent),
            )
        )

    def left(self, link: Link) -> None:
        """A link has ended."""
        if self._links.get(link.name) is not link:
            return
        del self._links[link.name]
        assert link.session is not None
        self._contact[link.name] = link.session.last_heard
        log.info("agent disconnected", agent=link.name)
        self.changed(link.name)
        self.spawn(self._note_contact(link.name))

    async def _note_contact(self, name: str) -> None:
        with suppress(ServerError):
            await self.store.save_contact({name: time.time()})

    async def close(self) -> None:
        """The server stops: tell every agent so."""
        for link in list(self._links.values()):
            link.close(CloseCode.GOING_AWAY, "the server stops")
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._recovery is not None:
            self._recovery.cancel()

    # Loops -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tick the links that wait for something, for ever."""
        while True:
            await asyncio.sleep(TICK)
            now = self.clock()
            for number, link in enumerate(list(self._links.values())):
                session = link.session
                if session is not None and session.due <= now:
                    link.feed(Tick())
                if number % 1000 == 999:
                    await asyncio.sleep(0)

    def trouble(self) -> None:
        """The database or a log could not be written: probe until both work again."""
        if self._recovery is None or self._recovery.done():
            self._recovery = asyncio.ensure_future(self._recover())

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                await self.store.probe()
                self._probe_logs()
            except (ServerError, OSError):
                continue
            break
        for link in list(self._links.values()):
            link.feed(StoreRecovered())

    def _probe_logs(self) -> None:
        probe = self.logs.root / ".probe"
        try:
            probe.write_bytes(b"\0" * 4096)
        finally:
            probe.unlink(missing_ok=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something short beside the links; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def changed(self, name: str) -> None:
        """An agent's place for jobs changed."""
        self._on_change(name)

    # What dispatcher and sweeper ask (domain.links.Links) --------------------------------------

    def slots(self) -> Iterable[AgentSlot]:
        """Every agent with an open, welcomed link."""
        return [slot for link in self._links.values() if (slot := _slot(link)) is not None]

    def slot(self, name: str) -> AgentSlot | None:
        """One of them; None when it is not connected."""
        link = self._links.get(name)
        return None if link is None else _slot(link)

    def offer(self, lease: Lease) -> None:
        """Send a committed lease to its agent; when it is not connected, its next hello decides."""
        link = self._links.get(lease.agent)
        if link is not None:
            link.feed(Offered(lease))

    def lease_ended(self, agent: str, key: Key, detail: str) -> None:
        """The server gave the lease up: the agent must kill the attempt if it has it."""
        link = self._links.get(agent)
        if link is not None:
            link.feed(LeaseEnded(key, detail))

    def cancel(self, agent: str, key: Key, reason: EndReason, detail: str) -> None:
        """Ask the agent to end the attempt."""
        link = self._links.get(agent)
        if link is not None:
            link.feed(CancelWished(key, reason, detail))

    def contact(self, agent: str) -> float | None:
        """When the agent was last heard, by the boot clock; None: not since the server started."""
        link = self._links.get(agent)
        if link is not None and link.session is not None:
            return link.session.last_heard
        return self._contact.get(agent)

    # What the web asks -------------------------------------------------------------------------

    def state_of(self, name: str) -> AgentState:
        """Online, stale or offline."""
        link = self._links.get(name)
        if link is None or link.session is None or link.session.hello is None:
            return AgentState.OFFLINE
        return AgentState.STALE if link.session.stale(self.clock()) else AgentState.ONLINE

    def seen_at(self, name: str) -> float | None:
        """When the agent was last heard, in Unix seconds; None: not since the server started."""
        contact = self.contact(name)
        return None if contact is None else time.time() - (self.clock() - contact)

    def spool_bytes(self, name: str) -> int:
        """Log bytes that the agent has not delivered, as of its last heartbeat."""
        link = self._links.get(name)
        return link.session.spool_bytes if link is not None and link.session is not None else 0

    def warning(self, name: str) -> str:
        """Something that operators should know about the agent; empty for nothing."""
        link = self._links.get(name)
        hello = link.session.hello if link is not None and link.session is not None else None
        if hello is None or hello.agent_version == __version__:
            return ""
        return f"it runs version {hello.agent_version}, the server {__version__}"

    async def wish(self, name: str) -> None:
        """Pause or drain was committed: tell the agent."""
        link = self._links.get(name)
        if link is not None and link.session is not None:
            link.agent = await self.store.agent(name)
            link.feed(WishesChanged(wishes_of(link.agent)))

    async def configure(self, name: str) -> None:
        """Queues, labels or capacity were committed: tell the agent."""
        link = self._links.get(name)
        if link is not None and link.session is not None:
            link.agent = await self.store.agent(name)
            link.feed(AssignmentChanged(assignment_of(link.agent)))

    async def drop(self, name: str, reason: str) -> None:
        """The agent is no longer welcome: close its link."""
        link = self._links.get(name)
        if link is not None:
            link.close(CloseCode.UNREGISTERED, reason)


def assignment_of(agent: Agent) -> Assignment:
    """What holds for an agent, as it is told."""
    return Assignment(queues=list(agent.queues), labels=agent.labels, capacity=agent.capacity)


def wishes_of(agent: Agent) -> Wishes:
    """What operators want of an agent, as it is told."""
    left = agent.drain_deadline_at
    return Wishes(
        paused=agent.paused,
        comment=agent.pause_comment,
        draining=agent.draining,
        drain_deadline=None if left is None else max(0.0, left - time.time()),
    )


def _slot(link: Link) -> AgentSlot | None:
    session, agent = link.session, link.agent
    if session is None or agent is None or session.hello is None:
        return None
    return AgentSlot(
        name=link.name,
        queues=frozenset(agent.queues),
        labels=agent.labels,
        capacity=agent.capacity,
        leases={key: (lease.queue, lease.weight) for key, lease in session.leases.items()},
        eligible=session.eligible,
        reason=session.reason,
    )
