"""Who is connected: one live link an agent, the newest wins. What other rooms ask of agents.

May touch the store; sockets are the links' business. One loop ticks all links, so that an idle
agent costs no timer of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import Any, Final, NamedTuple

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Hello
from remote_protocol.spec import JobSpec
from remote_protocol.states import AgentState, EndReason
from remote_server.agent_logs import AgentLogs
from remote_server.artifacts import ArtifactStore
from remote_server.audit_trail import AuditTrail
from remote_server.clocks import CLOCK
from remote_server.contents import ContentStore
from remote_server.domain.audit import Entry
from remote_server.domain.capacity import AgentSlot
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.events import (
    CancelWished,
    LeaseEnded,
    Offered,
    StoreFailed,
    StoreRecovered,
)
from remote_server.domain.held_lease import LeaseState
from remote_server.domain.links import AgentStatus, Fetching
from remote_server.domain.model import Clock, Lease, Token
from remote_server.domain.refusals import Refusals
from remote_server.domain.session import AgentSession, Terms
from remote_server.errors import ServerError
from remote_server.hub.agent_status import Seen, slot_of, status_of
from remote_server.hub.commits import CommitHandler
from remote_server.hub.hello import HelloHandler
from remote_server.hub.host_loads import HostLoads
from remote_server.hub.link import Link
from remote_server.hub.link_timer import LinkTimer
from remote_server.hub.outbox import Outgoing
from remote_server.hub.owner import HubTerms
from remote_server.hub.recovery import Recovery
from remote_server.hub.socket import Socket
from remote_server.hub.throttled_log import ThrottledLog
from remote_server.inputs import InputStore
from remote_server.logs import Logs
from remote_server.secrets.vault import Vault
from remote_server.store import Store
from remote_server.store.agents import connecting

log = structlog.get_logger("remote_server.hub")

MOST_SESSIONS: Final = 20_000
"""Agents whose sessions the audit tells apart within a minute."""
_LATER: Final = 0.01
"""Seconds that a timer comes late, so that what it waits for is over by then."""
MAX_PENDING: Final = 256
"""Links that may be open without a hello; each holds one message at the most."""


class Files(NamedTuple):
    """What the hub has beside the database: files, and the keys of what is encrypted there."""

    logs: Logs
    inputs: InputStore
    agent_logs: AgentLogs
    vault: Vault
    artifacts: ArtifactStore
    contents: ContentStore


class Hub:
    """All live links. `run` is its loop.

    `on_change` hears the name of an agent whose place for jobs changed, or that left.
    """

    def __init__(
        self,
        store: Store,
        files: Files,
        terms: HubTerms,
        on_change: Callable[[str], None],
        clock: Clock = CLOCK,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.store = store
        self.logs = files.logs
        self.inputs = files.inputs
        self.agent_logs = files.agent_logs
        self.vault = files.vault
        self.artifacts, self.contents = files.artifacts, files.contents
        self.artifact_rows = store
        self.outgoing = Outgoing()
        store.on_told(self.outgoing.send)
        self.terms = terms
        self.loads = HostLoads(clock.boot)
        self.clock = clock
        self.timer = LinkTimer(terms, clock, uniform=uniform)
        self._on_change = on_change
        self._links: dict[str, Link] = {}
        self._pending: dict[Link, None] = {}
        """Links whose agent has not said hello, the oldest first."""
        self._contact: dict[str, float] = {}
        self._released: set[str] = set()
        """Agents that said goodbye."""
        self._started_at = clock.boot()
        self._hellos = HelloHandler(self)
        self._refusals = Refusals()
        self.log = ThrottledLog(clock.boot)
        self.trail = AuditTrail(store, clock.boot, MOST_SESSIONS)
        """What the audit is told of agents' sessions."""
        self._commits = CommitHandler(store, self, clock.wall)
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery = Recovery(store, files.logs, self._recovered)
        self._stopping = False

    # Links come and go -------------------------------------------------------------------------

    async def serve(self, token: Token, wire: Socket, address: str) -> None:
        """Carry the WebSocket of an agent, authenticated by its token, until it ends."""
        link = Link(self, wire, token, address)
        self._make_room(link.name)
        self._pending[link] = None
        if self._stopping:
            link.close(CloseCode.GOING_AWAY, "the server stops")
        await link.serve()

    def _make_room(self, name: str) -> None:
        """Links that have not said hello hold memory of nobody who is known: one for each agent,
        and so many in all. Honest agents say it at once, so that the oldest one has to go."""
        for other in [link for link in self._pending if link.name == name]:
            other.close(CloseCode.FENCED, "another link of this agent was opened before its hello")
        if len(self._pending) >= MAX_PENDING:
            oldest = next(iter(self._pending))
            oldest.close(CloseCode.TRY_AGAIN, "too many agents connect and do not say hello")

    def next_terms(self) -> Terms:
        """What one more agent is told."""
        return self.timer.terms(len(self._links) + 1)

    async def hello(self, link: Link, hello: Hello) -> None:
        """Reconcile a hello with the database."""
        await self._hellos.handle(link, hello)

    def joined(self, link: Link, session: AgentSession) -> None:
        """A link's agent said hello: it has the name from now on."""
        link.session = session
        self._pending.pop(link, None)
        self._links[link.name] = link
        self._contact.pop(link.name, None)
        self._released.discard(link.name)
        found = {"address": link.address, "epoch": session.epoch}
        self.log.write(log.info, "agent connected", link.name, **found)

    def left(self, link: Link) -> None:
        """A link has ended."""
        self._pending.pop(link, None)
        session = link.session
        if session is None or self._links.get(link.name) is not link:
            return
        del self._links[link.name]
        self._contact[link.name] = session.last_heard
        if session.leaving:
            self._released.add(link.name)
        self.log.write(log.info, "agent disconnected", link.name)
        if not self._stopping:
            by = connecting(link.name, link.address, link.token)
            entry = Entry(by, "agent.disconnect", "agent", link.name, {"session": session.epoch})
            self.trail.note((link.name, entry.action), entry)
        self._on_change(link.name)
        self.spawn(_good_to_know(self.store.save_contact({link.name: self.clock.wall()})))

    def changed(self, link: Link) -> None:
        """An agent's place for jobs changed."""
        session, agent = link.session, link.agent
        if session is not None and agent is not None and session.condition is not agent.condition:
            # The same object from now on, so that an unchanged one is not compared for each job.
            link.agent = replace(agent, condition=session.condition)
            if session.condition != agent.condition:
                self.spawn(_good_to_know(self.store.set_condition(link.name, session.condition)))
        self._on_change(link.name)

    async def close(self) -> None:
        """The server stops: tell every agent so, and wait until all they reported is recorded."""
        self._stopping = True
        links = self.links()
        for link in links:
            link.close(CloseCode.GOING_AWAY, "the server stops")
        for link in links:
            await link.settle()
        self._recovery.stop()
        self._commits.stop()
        while self._tasks:
            await asyncio.wait(self._tasks)

    # Loops -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tick the links that wait for something, for ever."""
        while True:
            await self.timer.beat(self._links, self._pending)

    def links(self) -> list[Link]:
        """All links, also those without a hello."""
        return [*self._links.values(), *self._pending]

    @hears("given_up", "cancels", "removed_agents", "revoked", "agents")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit."""
        for attempt, (agent, detail) in changes.given_up.items():
            self.lease_ended(agent, attempt, detail)
        self._commits.committed(changes)

    def forget(self, agent: str) -> None:
        """There is no such agent any more, or another host has its name."""
        self._refusals.forget(agent)
        self.loads.forget(agent)

    def database_back(self) -> None:
        """The database was away, and may have forgotten what it was told last: every agent says
        again what it has."""
        for link in list(self._links.values()):
            link.feed(StoreRecovered(forgetful=True))

    def trouble(self) -> None:
        """The database or a log could not be written: probe until both work again."""
        if not self._stopping:
            self._recovery.begin()

    def _recovered(self) -> None:
        for link in list(self._links.values()):
            link.feed(StoreRecovered())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something short beside the links; `close` waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What dispatcher and sweeper ask (domain.links.Links) --------------------------------------

    def names(self) -> Collection[str]:
        """The agents with an open link; it changes with the links."""
        return self._links.keys()

    def slot(self, name: str) -> AgentSlot | None:
        """An agent with an open, welcomed link; None when it is not connected."""
        link = self._links.get(name)
        if link is None:
            return None
        return slot_of(link, self._refusals.blocked(name, self.clock.boot()))

    def welcomed(self, name: str) -> bool:
        """Whether there is a slot of this agent; cheaper than the slot itself."""
        link = self._links.get(name)
        session = None if link is None or link.agent is None else link.session
        return session is not None and session.hello is not None

    def unanswered(self, agent: str, key: AttemptId) -> bool:
        """Whether it is certain that an agent has not accepted what is offered to it."""
        link = self._links.get(agent)
        session = None if link is None else link.session
        return session is not None and session.unanswered(key)

    def avoided(self, job: str) -> Collection[str]:
        """Agents that gave this job back, and are not offered it for a while."""
        return self._refusals.avoided(job, self.clock.boot())

    def took(self, agent: str, key: AttemptId) -> None:
        """An agent accepted what it was offered."""
        self._refusals.accepted(agent, key.job)

    def gave_back(self, agent: str, key: AttemptId, detail: str) -> None:
        """An agent refused what it was offered, or did not answer while its link lasted."""
        now = self.clock.boot()
        was = self._refusals.blocked(agent, now)
        wait = self._refusals.refused(agent, key.job, detail, now)
        blocked = self._refusals.blocked(agent, now)
        if blocked and not was:
            text = "an agent takes nothing of what it is offered"
            self.log.write(log.warning, text, agent, why=blocked)
        if not self._stopping:
            loop = asyncio.get_running_loop()
            loop.call_later(wait + _LATER, self._on_change, agent)
            self._on_change(agent)

    def offer(self, lease: Lease) -> None:
        """Send a lease to its agent; when it is not connected, its next hello decides."""
        link = self._links.get(lease.agent)
        if link is not None:
            link.feed(Offered(lease))
            self._commits.offered(link, lease.key)

    def doubt(self, lease: Lease) -> None:
        """The database may not have this lease: once it works, the agent says what it has."""
        link = self._links.get(lease.agent)
        if link is not None:
            link.feed(StoreFailed(lease.key))
        self.trouble()

    def holder(self, agent: str) -> Link | None:
        """The link that has an agent's name."""
        return self._links.get(agent)

    def running(self, agent: str, key: AttemptId) -> JobSpec | None:
        """The job of an attempt that an agent with a link has accepted, and that has not ended."""
        link = self._links.get(agent)
        held = link.session.leases.get(key) if link is not None and link.session else None
        live = held is not None and held.state in (LeaseState.ACCEPTED, LeaseState.RUNNING)
        return held.lease.spec if held is not None and live else None

    def away(self, agent: str) -> float:
        """Seconds since an agent without a link was heard; at the longest since the start."""
        if agent in self._released:
            return inf
        return self.clock.boot() - self._contact.get(agent, self._started_at)

    def lease_ended(self, agent: str, key: AttemptId, detail: str) -> None:
        """The server gave the lease up: the agent must kill the attempt if it has it."""
        link = self._links.get(agent)
        if link is not None:
            offered = link.session and link.session.leases.get(key)
            if offered and offered.state is LeaseState.OFFERED:
                self.gave_back(agent, key, detail)
            link.feed(LeaseEnded(key, detail))

    def cancel(self, agent: str, key: AttemptId, reason: EndReason, detail: str) -> None:
        """Ask the agent to end the attempt."""
        link = self._links.get(agent)
        if link is not None:
            link.feed(CancelWished(key, reason, detail))

    def fetching(self, agent: str, key: AttemptId) -> Fetching | None:
        """How far the agent is that waits for the files of an attempt; None: it does not."""
        link = self._links.get(agent)
        return None if link is None else link.fetching(key)

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
        return AgentState.STALE if link.session.stale(self.clock.boot()) else AgentState.ONLINE

    def status(self, name: str) -> AgentStatus:
        """All that is known of an agent beyond its row."""
        contact, link = self.contact(name), self._links.get(name)
        since = self._started_at if contact is None else contact
        seen = Seen(self.state_of(name), since, contact, self._refusals.remark(name))
        return status_of(link, seen, self.clock, self.loads.latest(name))


async def _good_to_know(writing: Coroutine[Any, Any, None]) -> None:
    """Write something that nothing depends on."""
    with suppress(ServerError):
        await writing
