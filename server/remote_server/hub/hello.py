"""What happens at a hello: whether the agent is let in, its new session, and the reconciliation.

Touches the store and the log files' lengths. Work that an agent can make larger than what the
server gave it is done in slices, so that no hello holds the loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Hello
from remote_server.domain.audit import Entry
from remote_server.domain.enrolment import left_out
from remote_server.domain.events import HelloReceived
from remote_server.domain.session import AgentSession
from remote_server.errors import StoreUnavailable
from remote_server.hub.admission import admit
from remote_server.hub.budget import Bucket, Rate
from remote_server.hub.desired_state import assignment_of, desired_mode_of
from remote_server.hub.link import Link
from remote_server.hub.registry import Registry
from remote_server.logs import LogUnavailable
from remote_server.store.agents import connecting
from remote_server.store.reconciliation import Known, Reconciliation

log = structlog.get_logger("remote_server.hub")

HELLOS: Final = Rate(1, 60)
"""Hellos of one agent, over all its links."""
_MOST_KNOWN: Final = 20_000
_NAMED: Final = 20
SLICE: Final = 200
"""Attempts that are looked up before other work of the loop has its turn."""


class HelloHandler:
    """Answers hellos. Those of one agent are handled one at a time."""

    def __init__(self, hub: Registry) -> None:
        self._hub = hub
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._hellos: OrderedDict[str, Bucket] = OrderedDict()
        """What each agent may still say, over all its links: the most recent ones of them."""
        self._named: dict[AttemptId, None] = {}
        """Attempts without a record that the log has named: the most recent ones of them."""

    async def handle(self, link: Link, hello: Hello) -> None:
        """Reconcile a hello with the database."""
        if not self._affordable(link):
            return
        if link.session is None:
            await admit(self._hub, link, hello)
        lock = self._locks.get(link.name)
        if lock is None:
            # It lives as long as somebody holds it or waits for it.
            lock = self._locks[link.name] = asyncio.Lock()
        async with lock:
            if link.closed:
                return
            if link.session is None:
                await self._begin(link, hello)
            else:
                await link.settle()
                link.agent = await self._hub.store.announce(link.name, hello.settings)
            if not link.closed:
                await self._reconcile(link, hello)

    def _affordable(self, link: Link) -> bool:
        """Each hello costs a commit or a reconciliation, and a new link counts anew."""
        now = self._hub.clock.boot()
        bucket = self._hellos.pop(link.name, None) or Bucket(HELLOS, now)
        self._hellos[link.name] = bucket
        if len(self._hellos) > _MOST_KNOWN:
            self._hellos.popitem(last=False)
        if not bucket.spend(1, now):
            return True
        link.close(CloseCode.TRY_AGAIN, f"the agent {link.name!r} says hello too often")
        return False

    async def _begin(self, link: Link, hello: Hello) -> None:
        former = self._hub.holder(link.name)
        if former is not None:
            former.close(
                CloseCode.FENCED, "a newer session of this agent is connected; this one ends"
            )
            await former.settle()
        if link.closed:
            return
        now = self._hub.clock.wall()
        by = connecting(link.name, link.address, link.token)
        said = Entry(by, "agent.connect", "agent", link.name)
        audited = self._hub.trail.admits((link.name, said.action), said)
        agent = await self._hub.store.bump_epoch(
            link.name, hello, link.address, now, link.token, audited
        )
        if not link.closed:
            terms = self._hub.next_terms()
            session = AgentSession(link.name, agent.epoch, terms, self._hub.clock.boot())
            self._hub.joined(link, session)

    async def _reconcile(self, link: Link, hello: Hello) -> None:
        store = self._hub.store
        keys = [item.attempt for item in hello.inventory]
        known = Known()
        if len(keys) > SLICE:
            # By and by: the rest of the loop goes on meanwhile.
            held = await store.leases_of(link.name)
            for part in slices((key for key in keys if key not in held), SLICE):
                known.take(await store.look_up(link.name, part))
                await asyncio.sleep(0)
                if link.closed:
                    return
        await self._reopen(link.name, keys)
        if link.closed:
            return
        await store.reconcile(
            link.name, keys, known, lambda found: self._answer(link, hello, found)
        )

    async def _reopen(self, agent: str, keys: list[AttemptId]) -> None:
        """Have the logs at hand that were packed before the database was restored."""
        if self._hub.store.restored_since is None:
            # What an agent still holds has not ended, so nothing of it was packed.
            return
        try:
            packed: list[AttemptId] = []
            for part in slices(keys, SLICE):
                packed += self._hub.logs.perhaps_packed(part)
                if len(keys) > SLICE:
                    await asyncio.sleep(0)
            if packed:
                held = await self._hub.store.leases_of(agent)
                await self._hub.logs.reopen(key for key in packed if key in held)
        except LogUnavailable as error:
            raise StoreUnavailable(str(error)) from error

    def _answer(self, link: Link, hello: Hello, found: Reconciliation) -> None:
        """Hand over what was read, before anything else happens."""
        if link.closed:
            return
        link.agent = found.agent
        keys = (item.attempt for item in hello.inventory)
        try:
            lengths = {key: self._hub.logs.length(key) for key in keys if key in found.leases}
        except LogUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        left_alone = found.known.left_alone
        link.feed(
            HelloReceived(
                hello=hello,
                leases=found.leases,
                ended=frozenset(found.known.ended),
                lengths=lengths,
                assignment=assignment_of(found.agent),
                desired=desired_mode_of(found.agent, self._hub.clock.wall()),
                left_alone=frozenset(left_alone),
                warning=left_out(found.agent, hello.settings),
                own_log=self._hub.agent_logs.cursor(link.name),
                moved=link.moved,
            )
        )
        self._name(link.name, left_alone)

    def _name(self, agent: str, left_alone: set[AttemptId]) -> None:
        """Tell people, once, what the database has no record of."""
        new = sorted(left_alone - self._named.keys())
        some = new[:_NAMED]
        if some and self._hub.log.write(
            log.warning,
            "attempts that the restored database does not know: what runs is left to run to its "
            "end, and neither ends nor logs are recorded here",
            agent,
            count=len(new),
            attempts=", ".join(map(str, some)),
        ):
            self._named |= dict.fromkeys(some)
            while len(self._named) > _MOST_KNOWN:
                del self._named[next(iter(self._named))]


def slices(items: Iterable[AttemptId], size: int) -> Iterator[list[AttemptId]]:
    """The items in parts."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
