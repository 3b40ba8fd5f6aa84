"""What happens at a hello: whether the agent is let in, its new session, and the reconciliation.

Touches the store and the log files' lengths. Work that an agent can make larger than what the
server gave it is done in slices, so that no hello holds the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final
from weakref import WeakValueDictionary

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Hello, Recalled
from remote_server.domain.enrolment import left_out
from remote_server.domain.events import HelloReceived, RecallAnswered
from remote_server.domain.model import Lease
from remote_server.domain.session import AgentSession
from remote_server.errors import StoreUnavailable
from remote_server.hub.admission import admit
from remote_server.hub.budget import Bucket, Rate
from remote_server.hub.desired_state import assignment_of, wishes_of
from remote_server.hub.link import Link
from remote_server.hub.registry import Registry
from remote_server.logs import LogUnavailable

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
        now = self._hub.clock()
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
        now = time.time()
        agent = await self._hub.store.bump_epoch(link.name, hello, link.address, now, link.token)
        if not link.closed:
            terms = self._hub.next_terms()
            session = AgentSession(link.name, agent.epoch, terms, self._hub.clock())
            self._hub.joined(link, session)

    async def _reconcile(self, link: Link, hello: Hello) -> None:
        store = self._hub.store
        keys = [item.attempt for item in hello.inventory]
        before = await store.leases_of(link.name)
        unheld = [key for key in keys if key not in before]
        found = await self._look_up(link, unheld)
        if link.closed:
            return
        # From here on reads do not let others run: nothing changes between them and the event.
        current = await store.leases_of(link.name)
        gone = [key for key in keys if key in before and key not in current]
        found.take(await self._found(link.name, gone))
        link.agent = await store.agent(link.name)
        leases = found.leases | current
        try:
            lengths = {key: self._hub.logs.length(key) for key in keys if key in leases}
        except LogUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        link.feed(
            HelloReceived(
                hello=hello,
                leases=leases,
                ended=frozenset(found.ended),
                lengths=lengths,
                assignment=assignment_of(link.agent),
                wishes=wishes_of(link.agent),
                unknown=frozenset(found.unknown),
                recall=await store.asks_agents(),
                warning=left_out(link.agent, hello.settings),
            )
        )
        if found.unknown:
            some = sorted(found.unknown)
            self._hub.log.write(
                log.warning,
                "attempts belong to no job of this restored database; they may run to their end",
                link.name,
                count=len(some),
                attempts=", ".join(map(str, some[:_NAMED])),
            )

    async def _look_up(self, link: Link, unheld: Sequence[AttemptId]) -> _Found:
        """What the database knows of attempts that the agent does not hold, by and by."""
        found = _Found()
        for part in slices(unheld, SLICE):
            if found.looked:
                await asyncio.sleep(0)
            if link.closed:
                break
            found.take(await self._found(link.name, part))
        return found

    async def _found(self, agent: str, keys: Sequence[AttemptId]) -> _Found:
        store, found = self._hub.store, _Found()
        if keys:
            found.looked = True
            found.leases = await store.leases(keys, agent)
            rest = [key for key in keys if key not in found.leases]
            found.ended = set(await store.ended_keys(rest))
            found.unknown = set(await store.strays(rest))
        return found

    async def recalled(self, link: Link, message: Recalled) -> None:
        """An agent says what it has settled: have it take up what this database takes for open."""
        wanted: set[AttemptId] = set()
        for part in slices(message.attempts, SLICE):
            wanted |= (await self._hub.store.leases(part, link.name)).keys()
            await asyncio.sleep(0)
        link.feed(RecallAnswered(tuple(sorted(wanted))))


class _Found:
    def __init__(self) -> None:
        self.leases: dict[AttemptId, Lease] = {}
        self.ended: set[AttemptId] = set()
        self.unknown: set[AttemptId] = set()
        self.looked = False

    def take(self, other: _Found) -> None:
        self.leases |= other.leases
        self.ended |= other.ended
        self.unknown |= other.unknown
        self.looked = self.looked or other.looked


def slices(items: Iterable[AttemptId], size: int) -> Iterator[list[AttemptId]]:
    """The items in parts."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
