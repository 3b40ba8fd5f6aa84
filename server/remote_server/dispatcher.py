"""The loop that gives waiting jobs to agents: woken by events, never by polling alone.

A pass asks the store for the first jobs of each demand that some agent could take, matches them
(`domain.scheduling`), has the leases written and hands them to the links, before the commit where
that holds the loop. What woke it while it worked leads to the next pass at once. A slow sweep looks
at everything again, in case an event was missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from heapq import merge
from itertools import islice
from typing import Final, Protocol

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_server.dispatch_signal import DispatchSignal
from remote_server.domain.demand import MAX_BACKOFF
from remote_server.domain.held_members import Able, HeldMembers
from remote_server.domain.links import Links
from remote_server.domain.model import Clock, Demand, Lease, Outcome, Waiting
from remote_server.domain.ready_demands import ReadyDemands
from remote_server.domain.scheduling import Fleet
from remote_server.early_offers import FoundPlaces, PassOffers
from remote_server.errors import Stale, StoreUnavailable
from remote_server.store.arrivals import Arrivals, Places
from remote_server.store.ports import Urgency

SWEEP: Final = 10.0
"""Seconds after which everything is looked at again."""
RETRY: Final = 1.0
"""Seconds until the next pass when the database cannot be used."""
HEADS: Final = 256
"""Jobs of one demand looked at in one pass."""
DEMANDS: Final = 500
"""Demands looked at in one pass; when there are more, passes take turns."""
SET_BACK: Final = 1.0
"""Seconds between two passes by which a wall clock was set back, not slowed down."""
_SLICE: Final = 500


class DispatchStore(Protocol):
    """What the dispatcher needs of the store."""

    arrivals: Arrivals
    """Jobs that are being stored."""

    async def ready(self) -> ReadyDemands:
        """What is demanded by the jobs that are ready; it changes with the commits."""

    @property
    def ready_now(self) -> ReadyDemands | None:
        """The same; None where it has to be read first."""

    async def heads(self, demands: Sequence[Demand], limit: int) -> list[Waiting]:
        """The first jobs of each demand, in rank order."""

    def assign(
        self,
        pairs: Sequence[tuple[str, str]],
        now: float,
        early: Callable[[Sequence[Lease]], None],
        urgency: Urgency,
    ) -> Awaitable[Sequence[Lease]]:
        """Commit leases; `early` may hear of them before that, and of others than are committed."""

    async def withdraw(self, key: AttemptId, detail: str, now: float, agent: str) -> Outcome:
        """Take an offer back from its agent."""

    async def release_due(self, now: float) -> int:
        """Make jobs ready whose next attempt's time has come."""

    async def release_beyond(self, moment: float) -> int:
        """Make jobs ready whose next attempt's time comes after this moment."""

    async def next_release(self) -> float | None:
        """When the next one's time comes."""

    async def held_members(self) -> HeldMembers:
        """Members of groups that wait for their turn; it changes with the commits."""

    @property
    def held_now(self) -> HeldMembers | None:
        """The same; None where they have to be read first."""

    def forget_held(self) -> None:
        """Read them again: the database knows better."""

    @property
    def paused_queues(self) -> frozenset[str]:
        """Queues whose jobs wait."""


class Dispatcher:
    """Gives waiting jobs to agents."""

    def __init__(
        self,
        store: DispatchStore,
        links: Links,
        clock: Clock,
        signal: DispatchSignal | None = None,
        sweep: float = SWEEP,
    ) -> None:
        self.signal = signal or DispatchSignal()
        self._store = store
        self._links = links
        self._clock = clock
        self._sweep = sweep
        self._fleet = Fleet()
        self._turn = 0
        self._ahead: float | None = None
        """Seconds by which the wall clock was ahead of the boot clock in the last pass."""
        self._looked_at = 0
        self._missed: list[Lease] = []
        """Leases that were stored when their agents had left."""
        self._failure: BaseException | None = None
        """Why leases that were offered are not stored."""
        self._log = structlog.get_logger("remote_server.dispatcher")

    def arriving(self, jobs: Sequence[Waiting]) -> Places | None:
        """Jobs are about to be stored: find places for them, or look at once whether one can be
        given with the same commit. Those without a place are heard of after it."""
        signal, fleet = self.signal, self._fleet
        members = self._store.held_now
        quiet = signal.idle and not signal.everything and members is not None and not members
        if quiet:
            # What it knows of the agents may be out of date while no job waits.
            self._renew_changed()
        unseen = signal.everything or signal.agents
        if not (unseen or any(fleet.serves(waiting.demand) for waiting in jobs)):
            return None
        if quiet and self._come_first(jobs):
            pairs = fleet.match(sorted(jobs, key=Waiting.rank), self._links.avoided)
            return FoundPlaces(self._links, dict(pairs), self._clock.wall(), self._places_over)
        signal.wake()
        return None

    def _come_first(self, jobs: Sequence[Waiting]) -> bool:
        """Whether no other job that waits, as far as that is known now, could take their places."""
        others, paused = self._store.ready_now, self._store.paused_queues
        return (
            others is not None
            and not self._store.arrivals
            and paused.isdisjoint(waiting.demand.queue for waiting in jobs)
            and not others.any_servable(self._fleet.lacks)
        )

    def _places_over(self, free: set[str], missed: Sequence[Lease]) -> None:
        """Places were found for jobs that were not stored, or by whose commit the agent had
        left."""
        self._missed += missed
        self.signal.agents |= free
        self.signal.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.dispatch()
                await self.signal.wait(await self._pause())
            except StoreUnavailable as error:
                # What the fleet counted as given may not be.
                self.signal.everything = True
                self._log.warning("jobs cannot be assigned now", cause=str(error))
                await asyncio.sleep(RETRY)
                self.signal.awake = True
            except Exception:
                self.signal.everything = True
                self._log.exception("a pass of the dispatcher failed")
                await asyncio.sleep(RETRY)
                self.signal.awake = True

    async def dispatch(self) -> int:
        """Passes until nothing more can be given now; how many jobs were given."""
        given = 0
        self._looked_at = 0
        while self.signal.awake:
            self.signal.awake = False
            more = await self._pass()
            if more:
                self._looked_at = 0
            given += more
        return given

    async def _pause(self) -> float:
        """Seconds until there may be something to do without an event."""
        times = (await self._store.next_release(), (await self._store.held_members()).due())
        due = min((at for at in times if at is not None), default=None)
        if due is None:
            return self._sweep
        return min(self._sweep, max(0.005, due - self._clock.wall()))

    async def _watch_clock(self) -> None:
        """A wait between attempts is a duration: what waits for a moment of a clock that was set
        back since, also before this process, would wait for longer than it may. It goes on."""
        wall = self._clock.wall()
        ahead = wall - self._clock.boot()
        back = MAX_BACKOFF if self._ahead is None else self._ahead - ahead
        if back > SET_BACK:
            while await self._store.release_beyond(wall + back):
                continue
        self._ahead = ahead

    async def _pass(self) -> int:
        await self._make_good()
        await self._watch_clock()
        await self._store.release_due(self._clock.wall())
        members = await self._store.held_members()
        if not (await self._store.ready() or self._store.arrivals or members):
            return 0
        changed = await self._refresh()
        wanted = self._servable(await self._store.ready())
        turns = self._turns(members, changed)
        if not wanted and not turns:
            return 0
        queues = {demand.queue for demand in wanted}
        limit = max((self._fleet.room(queue) for queue in queues), default=0)
        limit = min(max(limit, 1), HEADS)
        heads = await self._store.heads(list(wanted), limit) if wanted else []
        pairs = self._fleet.match(_in_order(heads, turns), self._links.avoided)
        if not pairs:
            return 0
        # Members of groups are counted by commits: the next pass has to see them.
        leases = await self._assign(pairs, Urgency.COMMIT if turns else Urgency.RUN)
        if len(leases) < len(pairs):
            # Some jobs were cancelled or expired meanwhile: their places are free again.
            given = {(lease.key.job, lease.agent) for lease in leases}
            self.signal.agents.update(agent for job, agent in pairs if (job, agent) not in given)
            if turns:
                self._store.forget_held()
        more = any(count > limit and self._fleet.serves(demand) for demand, count in wanted.items())
        if len(leases) < len(pairs) or more or (leases and members.unsettled()):
            self.signal.awake = True
        return len(leases)

    async def _assign(self, pairs: Sequence[tuple[str, str]], urgency: Urgency) -> Sequence[Lease]:
        """Have jobs given to agents, and offer them; the leases. Without urgency they are on their
        way into the database."""
        offers = PassOffers(self._links)
        wall = self._clock.wall()
        # In its place among other writes at once: it shares the commit of what has led to it.
        storing = asyncio.ensure_future(self._store.assign(pairs, wall, offers.written, urgency))
        storing.add_done_callback(partial(self._stored, offers))
        if urgency is Urgency.COMMIT:
            await asyncio.wait((storing,))
        return await offers.sent

    def _stored(self, offers: PassOffers, storing: asyncio.Future[Sequence[Lease]]) -> None:
        """It is known what became of a pass."""
        offers.settle(storing)
        if offers.missed:
            self._missed += offers.missed
            self.signal.wake()
        if offers.failure is not None:
            self._failure = offers.failure
            self.signal.wake()

    async def _make_good(self) -> None:
        """What former passes have left to be done, after their commits."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        while self._missed:
            await self._take_back(self._missed.pop())

    def _turns(self, members: HeldMembers, changed: set[str] | None) -> list[Waiting]:
        """Members of groups that may start now; `changed`: the agents to look at, None: all."""
        if not members:
            return []
        able = Able(self._takes, self._fleet.fits)
        now, paused = self._clock.wall(), self._store.paused_queues
        return members.candidates(changed, able, now, HEADS, paused)

    def _takes(self, job: str, demand: Demand) -> bool:
        return self._fleet.serves(demand) and demand.agent not in self._links.avoided(job)

    async def _take_back(self, lease: Lease) -> None:
        """The agent left while the lease was being committed: nothing was sent to anybody."""
        self.signal.agents.add(lease.agent)
        detail = f"the agent {lease.agent!r} left before the offer was sent"
        # Stale: it is back already, and its hello was answered with this very lease.
        with suppress(Stale):
            await self._store.withdraw(lease.key, detail, self._clock.wall(), lease.agent)

    def _servable(self, ready: ReadyDemands) -> dict[Demand, int]:
        """How many jobs wait for each demand that some agent serves now, as many of these as one
        pass looks at."""
        wanted, paused = ready.servable(self._fleet.lacks), self._store.paused_queues
        for demand in (waiting.demand for waiting in self._store.arrivals):
            if demand in wanted or (demand.queue not in paused and self._fleet.serves(demand)):
                wanted[demand] = wanted.get(demand, 0) + 1
        if len(wanted) <= DEMANDS:
            return wanted
        self._turn = (self._turn + DEMANDS) % len(wanted)
        self._looked_at += DEMANDS
        if self._looked_at < len(wanted):
            # Go on with the others, until all had their turn in vain.
            self.signal.awake = True
        found = list(wanted.items())
        return dict((found[self._turn :] + found[: self._turn])[:DEMANDS])

    async def _refresh(self) -> set[str] | None:
        """Bring the fleet up to date with the links; the agents that changed, None: all may."""
        if not self.signal.everything:
            return self._renew_changed()
        # Names that become stale while this waits for its turn are looked at in the next pass.
        self.signal.everything = False
        self.signal.agents.clear()
        if (ready := self._store.ready_now) is not None:
            ready.reopen_all()
        names = iter(set(self._links.names()) | set(self._fleet.names()))
        while part := list(islice(names, _SLICE)):
            for name in part:
                self._renew(name)
            if len(part) == _SLICE:
                await asyncio.sleep(0)
        for name in self.signal.agents:
            self._renew(name)
        return None

    def _renew_changed(self) -> set[str]:
        changed = set(self.signal.agents)
        for name in changed:
            self._renew(name)
        self.signal.agents.clear()
        return changed

    def _renew(self, name: str) -> None:
        slot = self._links.slot(name)
        if slot is None:
            self._fleet.drop(name)
        else:
            self._fleet.put(slot)
            if (ready := self._store.ready_now) is not None:
                ready.reopen(slot)


def _in_order(heads: list[Waiting], turns: list[Waiting]) -> list[Waiting]:
    """Both in rank order."""
    if not turns:
        return heads
    return list(merge(heads, turns, key=Waiting.rank))
